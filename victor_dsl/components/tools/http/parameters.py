"""The parameters of an HTTP tool as a spec writes them, and a model's arguments as they are read by them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from victor_dsl.errors import ToolError
from victor_dsl.lazy import Lazy
from victor_dsl.nearest import suggest
from victor_dsl.values.faults import kind_of

if TYPE_CHECKING:
    import jsonschema
    import referencing
else:
    jsonschema, referencing = Lazy("jsonschema"), Lazy("referencing")

NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
TYPES = ("string", "integer", "number", "boolean", "array", "object")

MOST_FAULTS = 5
"""How many faults of a schema are reported at once."""

MOST_CHARACTERS = 300
MOST_NESTED = 20


def json_schema(written: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema that parameters mean: themselves, or one made of the short form. Raises ValueError.

    In the short form each name has a type, `integer`, or `integer?` where the argument may be left out, or a JSON
    Schema of its own; one with a `default` may be left out.
    """
    if _is_whole(written):
        schema = {"properties": {}, **written}
        required = schema.get("required", [])
        wrong = [name for name in required if name not in schema["properties"]] if isinstance(required, list) else []
        if wrong:
            raise ValueError(f"`required` names '{wrong[0]}', which is not a property")
    else:
        schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        for name, value in written.items():
            schema["properties"][name], required = _property(name, value)
            if required:
                schema["required"].append(name)
    for name in schema["properties"]:
        if not NAME.match(str(name)):
            raise ValueError(f"'{name}' is not a parameter's name: letters, digits, '_' and '-' are allowed")
    return schema


def schema_faults(written: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Where the parameters are no JSON Schema, and why. The short form alone is always one."""
    whole = _is_whole(written)
    schemas = written if whole else {name: value for name, value in written.items() if isinstance(value, Mapping)}
    if not schemas:
        return []
    validator = _validator_class(written) if whole else jsonschema.Draft202012Validator
    checked = schemas if whole else {"type": "object", "properties": schemas}
    errors = validator(validator.META_SCHEMA, format_checker=validator.FORMAT_CHECKER).iter_errors(checked)
    found = [(tuple(error.absolute_path)[0 if whole else 1 :], _meta_text(error)) for error in errors]
    found += [(path, f"'{target}' is not in this schema") for path, target in _lost(schemas, checked)]
    return sorted(dict.fromkeys(found), key=str)[:MOST_FAULTS]


class Arguments:
    """Reads arguments by a JSON Schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._properties: Mapping[str, Any] = schema["properties"]
        # An empty registry: a `$ref` to another document is an error, never a download.
        self._validator = _validator_class(schema)(schema, registry=referencing.Registry())

    def read(self, text: str) -> dict[str, Any]:
        """The arguments that a model wrote as JSON, with the defaults of those that it left out. Raises ToolError."""
        try:
            arguments = json.loads(text.strip() or "{}")  # not orjson: integers of any size stay whole
        except (ValueError, RecursionError) as error:
            raise ToolError(f"the arguments are not JSON: {error}") from error
        if faults := self.faults(arguments):
            raise ToolError("; ".join(faults))
        whole = _with_whole_numbers(arguments, self._schema, MOST_NESTED)
        return self.with_defaults(whole)

    def faults(self, arguments: Mapping[str, Any]) -> list[str]:
        """What is wrong with a model's arguments, for the model to read."""
        return [self._text(error) for error in self._validator.iter_errors(arguments)]

    def with_defaults(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, and the defaults of those that were left out."""
        defaults = {
            name: schema["default"]
            for name, schema in self._properties.items()
            if isinstance(schema, Mapping) and "default" in schema
        }
        return {**arguments, **{name: value for name, value in defaults.items() if name not in arguments}}

    def _text(self, error: jsonschema.ValidationError) -> str:
        if error.absolute_path:
            return f"the argument '{'.'.join(map(str, error.absolute_path))}': {error.message}"
        if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
            unknown = [name for name in error.instance if name not in self._properties]
            if error.validator_value is not False or not unknown:
                return error.message
            return "; ".join(f"unknown argument '{name}'; {suggest(name, self._properties)}" for name in unknown)
        return error.message


def _is_whole(written: Mapping[str, Any]) -> bool:
    """Whether the parameters are a JSON Schema of an object, and not the short form."""
    return written.get("type") == "object" and isinstance(written.get("properties", {}), Mapping)


def _validator_class(schema: Mapping[str, Any]) -> Any:
    """The validator of the version that `$schema` names, or of 2020-12."""
    known = isinstance(schema.get("$schema"), str)
    return jsonschema.validators.validator_for(schema if known else {}, default=jsonschema.Draft202012Validator)


def _meta_text(error: jsonschema.ValidationError) -> str:
    """What is wrong with a part of a schema."""
    if error.absolute_path and error.absolute_path[-1] == "type" and isinstance(error.instance, str):
        return f"'{error.instance}' is not a type; {suggest(error.instance, (*TYPES, 'null'))}"
    return str(error.message)[:MOST_CHARACTERS]


def _lost(schema: Any, root: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The places of `$ref`s to other documents, which are never fetched, and to parts that are not there."""
    if isinstance(schema, Mapping):
        target = schema.get("$ref")
        if isinstance(target, str) and not _is_there(target, root):
            yield (*path, "$ref"), target
    items = schema.items() if isinstance(schema, Mapping) else enumerate(schema) if isinstance(schema, list) else ()
    for key, value in items:
        if key not in ("default", "const", "enum", "examples"):
            yield from _lost(value, root, (*path, key))


def _is_there(target: str, root: Any) -> bool:
    """Whether a `$ref` leads to a part of the schema; an anchor is believed."""
    if not target.startswith("#/"):
        return target.startswith("#")
    for step in unquote(target[2:]).split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(root, Mapping):
            root = root.get(key)
        else:
            root = root[int(key)] if isinstance(root, list) and key.isdecimal() and int(key) < len(root) else None
    return root is not None


def _with_whole_numbers(value: Any, schema: Any, depth: int) -> Any:
    """The value with integers that were written as `3.0` or `1e2` as integers, where the schema asks for them."""
    if not isinstance(schema, Mapping) or not depth:
        return value
    if isinstance(value, float) and value.is_integer() and schema.get("type") == "integer":
        return int(value)
    properties, items = schema.get("properties"), schema.get("items")
    if isinstance(value, dict) and isinstance(properties, Mapping):
        return {name: _with_whole_numbers(each, properties.get(name), depth - 1) for name, each in value.items()}
    if isinstance(value, list) and isinstance(items, Mapping):
        return [_with_whole_numbers(each, items, depth - 1) for each in value]
    return value


def _property(name: str, value: Any) -> tuple[Any, bool]:
    if isinstance(value, str):
        word = value.removesuffix("?")
        if word not in TYPES:
            raise ValueError(f"'{value}' is not a type for the parameter '{name}'; {suggest(word, TYPES)}")
        return {"type": word}, not value.endswith("?")
    if isinstance(value, Mapping):
        return dict(value), "default" not in value
    raise ValueError(
        f"the parameter '{name}' has {kind_of(value)} instead of a type, such as `string`, or a JSON Schema"
    )
