"""A Config's fields in plain words, read from its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import frozen

from victor_dsl.language.config import Config

_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "map", "array": "list"}


@frozen
class Field:
    """One field: its type and default as a person would say them."""

    name: str
    type: str
    required: bool
    default: str
    description: str


def fields_of(config: type[Config]) -> list[Field]:
    """The fields in order of definition."""
    schema = config.model_json_schema()
    defs = schema.get("$defs", {})
    required = set(schema.get("required", ()))
    return [
        Field(
            name=name,
            type=type_words(field, defs),
            required=name in required,
            default="none" if field.get("default") is None else orjson.dumps(field["default"]).decode(),
            description=" ".join(field.get("description", "").split()),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def type_words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A JSON Schema's type: `text`, `whole number ≥ 1`, `one of drop, fail`, `list of text`."""
    if "$ref" in schema:
        return type_words(defs.get(schema["$ref"].rsplit("/", 1)[-1], {}), defs)
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            parts = [type_words(one, defs) for one in schema[several] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(parts))
    if str(schema.get("pattern", "")).startswith(r"^\$\{("):
        return "secret"
    type = str(schema.get("type", "anything"))
    words = _WORDS.get(type, type)
    if type == "array" and schema.get("items"):
        return f"{words} of {type_words(schema['items'], defs)}"
    return words + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f" {', '.join(found)}" if found else ""
