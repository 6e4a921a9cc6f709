"""Whether a JSON value has the type that an SDK's request types describe, with no key too many.

Pydantic reads these types leniently: it drops keys that a TypedDict does not have, and looks into an Iterable only later.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict


def faults(value: Any, type: Any, where: str = "body") -> list[str]:
    """What is wrong with the value; of a union, what is wrong by its nearest type."""
    origin, arguments = get_origin(type), get_args(type)
    if origin in (Required, NotRequired) or hasattr(type, "__metadata__"):
        return faults(value, arguments[0], where)
    if origin in (Union, UnionType):
        return min((faults(value, one, where) for one in arguments), key=len)
    if origin is Literal:
        return [] if value in arguments else [f"{where}: {value!r} is none of {arguments}"]
    if is_typeddict(type):
        return _of_map(value, type, where)
    if type in (object, Any):
        return []
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is not a map"]
        return [fault for key, inner in value.items() for fault in faults(inner, arguments[1], f"{where}.{key}")]
    if origin is not None:  # a list, by any of its names
        if not isinstance(value, list):
            return [f"{where}: {value!r} is not a list"]
        return [fault for i, inner in enumerate(value) for fault in faults(inner, arguments[0], f"{where}[{i}]")]
    if type is float:
        type = (int, float)
    is_right = isinstance(value, type) and not (isinstance(value, bool) and type is not bool)
    return [] if is_right else [f"{where}: {value!r} is not {type}"]


def _of_map(value: Any, type: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is not a map", f"{where}: nor is any of its keys"]
    hints = get_type_hints(type, include_extras=True)
    allows_more = getattr(type, "__pydantic_config__", {}).get("extra") == "allow"
    missing = [f"{where}: lacks {key}" for key in type.__required_keys__ if key not in value]
    more = [f"{where}: has no {key}" for key in value if key not in hints and not allows_more]
    inner = [fault for key, one in value.items() if key in hints for fault in faults(one, hints[key], f"{where}.{key}")]
    return missing + more + inner
