"""Values from outside, read as the type that the spec declares: by the declaration, never by guess."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from attrs import evolve

from victor_dsl.values.faults import Fault, Faulty, Path, dotted, kind_of
from victor_dsl.values.from_text import from_text

Type = Literal["string", "integer", "number", "boolean", "list", "map"]

WORDS: Mapping[Type, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "list": "a list",
    "map": "a map",
}
"""How messages call a value of each type."""

_HINTS: Mapping[Type, str] = {
    "string": "put it in quotes",
    "integer": "write digits, such as `3`",
    "number": "write a number, such as `3` or `0.5`",
    "boolean": "write `true` or `false`",
    "list": 'write `a, b`, or JSON: `["a", "b"]`',
    "map": 'write JSON: `{"key": "value"}`',
}
_OF_TEXT: Mapping[Type, tuple[str, ...]] = {
    "string": (),
    "integer": ("int_type",),
    "number": ("int_type", "float_type"),
    "boolean": ("bool_type",),
    "list": ("list_type",),
    "map": ("dict_type",),
}
"""What `from_text` is asked for, by type."""


def type_of(value: Any) -> Type | None:
    """The type that a value declares by being written; None for null, which declares any."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "map" if isinstance(value, Mapping) else "list" if isinstance(value, list | tuple) else None


def read_as(type: Type, value: Any, path: Path) -> Any:
    """The value as the type; a text is read as it. Raises Faulty, without the value."""
    read = value
    if isinstance(value, str):
        read = next((found for kind in _OF_TEXT[type] if (found := from_text(value, kind)) is not None), value)
    elif type == "integer" and isinstance(value, float) and value.is_integer():
        read = int(value)
    if not _is(type, read):
        hint = _HINTS[type] if type != "string" or isinstance(value, int | float) else None
        raise Faulty([Fault(path, _must_be(type, value, path), hint, "wrong-type")])
    if isinstance(read, int) and not -(2**63) <= read < 2**64:
        raise Faulty([Fault(path, f"{dotted(path)} has more than 64 bits, the most of a whole number")])
    return read


def read_like(
    declared: Mapping[str, Any],
    values: Mapping[str, Any],
    path: Path,
    reads: Callable[[Path], bool] = lambda path: True,  # noqa: ARG005 - every text
) -> Mapping[str, Any]:
    """A layer's map, each value as the type of the one that the spec declares under its name, at every depth.

    Where nothing is declared, or null, a value stays what it is; null removes a value of any type. `reads` says whether the
    text at a path is read as another type. The same map where nothing changes. Raises Faulty.
    """
    faults: list[Fault] = []
    read = _like(declared, values, path, reads, faults)
    if faults:
        raise Faulty(faults)
    result: Mapping[str, Any] = read
    return result


def default_type(text: str) -> Type:
    """The type that the default in `${env:NAME:-default}` declares: that of the same word in YAML, if it is written as usual."""
    if text in ("true", "false"):
        return "boolean"
    if text[:1] == "[" and isinstance(from_text(text, "list_type"), list):
        return "list"
    for kind in ("int_type", "float_type"):
        read = from_text(text, kind)
        if isinstance(read, int | float) and math.isfinite(read) and str(read) == text:
            return "integer" if kind == "int_type" else "number"
    return "string"


def _like(declared: Any, value: Any, path: Path, reads: Callable[[Path], bool], faults: list[Fault]) -> Any:
    type = type_of(declared)
    if value is None or type is None:
        return value
    try:
        if isinstance(value, str) and type != "string":
            if not reads(path):
                read_as(type, value, path)
                raise Faulty([Fault(path, _must_be(type, value, path), "leave out the quotes", "wrong-type")])
            if value.strip() == "null":
                return None
            read = read_as(type, value, path)
        else:
            read = read_as(type, value, path)
    except Faulty as error:
        faults += [evolve(fault, message=f"{fault.message}, as the spec declares it") for fault in error.faults]
        return value
    if isinstance(read, list | tuple):
        item = _item_of(declared)
        items = [_like(item, inner, (*path, index), reads, faults) for index, inner in enumerate(read)]
        return read if all(made is inner for made, inner in zip(items, read, strict=True)) else items
    if not isinstance(read, Mapping):
        return read
    made = {key: _like(declared.get(key), inner, (*path, key), reads, faults) for key, inner in read.items()}
    return read if all(made[key] is inner for key, inner in read.items()) else made


def _item_of(declared: Sequence[Any]) -> Any:
    """A value of the type that the items of a list declare; None where they have several types, or there is none."""
    types = {type_of(item) for item in declared}
    if types == {"integer", "number"}:
        return 0.0
    if len(types) != 1:
        return None
    if types != {"map"}:
        return declared[0]
    fields: dict[str, list[Any]] = {}
    for item in declared:
        for key, value in item.items():
            fields.setdefault(key, []).append(value)
    return {key: _item_of(values) for key, values in fields.items()}


def _is(type: Type, value: Any) -> bool:
    if isinstance(value, bool):
        return type == "boolean"
    match type:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int)
        case "number":
            return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        case "list":
            return isinstance(value, list | tuple)
        case "map":
            return isinstance(value, Mapping)
    return False


def _must_be(type: Type, value: Any, path: Path) -> str:
    if value == "":
        return f"{dotted(path)} must be {WORDS[type]}, but is empty"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{dotted(path)} must be a finite number"
    if isinstance(value, float) and type == "integer":
        return f"{dotted(path)} must be a whole number, not a fraction"
    return f"{dotted(path)} must be {WORDS[type]}" + ("" if isinstance(value, str) else f", not {kind_of(value)}")
