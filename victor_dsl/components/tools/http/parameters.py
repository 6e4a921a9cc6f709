"""The parameters of an HTTP tool as a spec writes them, and the check of a model's arguments against them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from victor_dsl.errors import ComponentError
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


def json_schema(written: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema that parameters mean: themselves, or one made of the short form. Raises ValueError.

    In the short form each name has a type, `integer`, or `integer?` where the argument may be left out, or a JSON
    Schema of its own; one with a `default` may be left out.
    """
    if written.get("type") == "object" and isinstance(written.get("properties", {}), Mapping):
        schema = {"properties": {}, **written}
        wrong = [name for name in schema.get("required", []) if name not in schema["properties"]]
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


class Arguments:
    """Checks arguments against a JSON Schema, and adds its defaults. Raises ComponentError for what is no JSON Schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        validator = jsonschema.Draft202012Validator
        try:
            validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            where = ".".join(map(str, error.absolute_path))
            raise ComponentError(f"`parameters` is not a JSON Schema: {where or 'it'}: {error.message}") from error
        self._properties: Mapping[str, Any] = schema["properties"]
        # An empty registry: a `$ref` to another document is an error, never a download.
        closed = {"additionalProperties": False, **schema}
        self._validator = validator(closed, registry=referencing.Registry())

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
            return "; ".join(f"unknown argument '{name}'; {suggest(name, self._properties)}" for name in unknown)
        return error.message


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
