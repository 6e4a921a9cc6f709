"""The parameters of a tool as a spec writes them, and a model's arguments held against them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from victor_dsl.nearest import suggest
from victor_dsl.values.faults import kind_of

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def json_schema(written: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema that parameters mean: itself, or one made of the short form. Raises ValueError.

    In the short form each name has a word, `integer`, or `integer?` where the argument may be left out, or a JSON
    Schema of its own; one with a `default` may be left out.
    """
    if written.get("type") == "object" and isinstance(written.get("properties", {}), Mapping):
        schema = {"properties": {}, **written}
        wrong = [name for name in schema.get("required", []) if name not in schema["properties"]]
        if wrong:
            raise ValueError(f"`required` names '{wrong[0]}', which is no property")
    else:
        schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        for name, value in written.items():
            schema["properties"][name], required = _property(name, value)
            if required:
                schema["required"].append(name)
    for name in schema["properties"]:
        if not NAME.match(str(name)):
            raise ValueError(f"'{name}' is no name of a parameter: it has letters, digits, '_' and '-'")
    return schema


def faults(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with a model's arguments: names, and the types and choices of single values."""
    properties: Mapping[str, Any] = schema["properties"]
    found = [f"the argument '{name}' is missing" for name in schema.get("required", ()) if name not in arguments]
    if schema.get("additionalProperties", False) is False:
        found += [f"unknown argument '{n}'; {suggest(n, properties)}" for n in arguments if n not in properties]
    for name, value in arguments.items():
        wanted = properties.get(name)
        if isinstance(wanted, Mapping) and (told := _fault(value, wanted)):
            found.append(f"the argument '{name}' {told}")
    return found


def _property(name: str, value: Any) -> tuple[Any, bool]:
    if isinstance(value, str):
        word = value.removesuffix("?")
        if word not in TYPES:
            raise ValueError(f"'{value}' is no type of the parameter '{name}'; {suggest(word, TYPES)}")
        return {"type": word}, not value.endswith("?")
    if isinstance(value, Mapping):
        return dict(value), "default" not in value
    raise ValueError(
        f"the parameter '{name}' has {kind_of(value)} instead of a type, such as `string`, or a JSON Schema"
    )


def _fault(value: Any, schema: Mapping[str, Any]) -> str | None:
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in choices:
        return f"must be one of {', '.join(map(str, choices))}"
    types = schema.get("type")
    named = [types] if isinstance(types, str) else types if isinstance(types, list) else []
    if not named or any(_is(value, type) for type in named):
        return None
    return f"must be of type {' or '.join(map(str, named))}"


def _is(value: Any, type: Any) -> bool:
    if type == "null":
        return value is None
    if type not in TYPES:
        return True
    if isinstance(value, bool) and type != "boolean":
        return False
    return isinstance(value, TYPES[type]) or (type == "integer" and isinstance(value, float) and value.is_integer())
