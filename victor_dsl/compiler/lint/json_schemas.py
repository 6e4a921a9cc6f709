"""JSON Schemas in a spec: whether one is valid, and whether its keywords are spelt as they should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from victor_dsl.lazy import Lazy
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.located import Path

if TYPE_CHECKING:
    import jsonschema
else:
    jsonschema = Lazy("jsonschema")

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")

_MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
"""Keywords with a map of schemas."""
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
"""Keywords with a list of schemas."""
_NOTES = [
    "$schema",
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$comment",
    "$vocabulary",
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "definitions",
    "$defs",
    "id",
    "minContains",
    "maxContains",
    "dependencies",
    "additionalItems",
    "then",
    "else",
]
"""Keywords that no validator of 2020-12 looks for by themselves."""

Found = tuple[Path, str, str | None]
"""The place of a fault, a message and a hint."""


def schema_faults(schema: Mapping[str, Any]) -> Iterator[Found]:
    """Where the schema is not valid, by the version that its `$schema` names, or by 2020-12."""
    known = isinstance(schema.get("$schema"), str)
    kind = jsonschema.validators.validator_for(schema if known else {}, default=jsonschema.Draft202012Validator)
    validator = kind(kind.META_SCHEMA, format_checker=kind.FORMAT_CHECKER)
    for error in sorted(validator.iter_errors(schema), key=lambda error: list(map(str, error.absolute_path))):
        at = tuple(error.absolute_path)
        if at and at[-1] == "type" and isinstance(error.instance, str):
            yield (
                at,
                f"JSON Schema has no type '{error.instance[:40]}'",
                suggest(error.instance, TYPES, what="types"),
            )
        else:
            where = ".".join(map(str, at)) or "it"
            yield at, f"its schema is not valid: {where}: {error.message[:200]}", None


def misspelt_keywords(schema: Any, path: Path = ()) -> Iterator[Found]:
    """Keywords that look like those of JSON Schema and are none: a validator ignores them."""
    if not isinstance(schema, Mapping):
        return
    keywords = {*jsonschema.Draft202012Validator.VALIDATORS, *_NOTES}
    for key, value in schema.items():
        below = (*path, key)
        if key not in keywords:
            if nearest(key, sorted(keywords)) is not None:
                yield below, f"JSON Schema has no keyword '{key[:40]}'", suggest(key, sorted(keywords), what="keywords")
        elif key in _MAPS and isinstance(value, Mapping):
            for name, inner in value.items():
                yield from misspelt_keywords(inner, (*below, name))
        elif key in _LISTS and isinstance(value, list):
            for index, inner in enumerate(value):
                yield from misspelt_keywords(inner, (*below, index))
        elif key not in ("const", "default", "enum", "examples", "example"):
            yield from misspelt_keywords(value, below)
