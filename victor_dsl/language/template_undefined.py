"""Undefined names and unset values in templates, and errors of Python in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from jinja2.runtime import StrictUndefined
from jinja2.sandbox import MAX_RANGE
from jinja2.utils import missing
from pydantic import BaseModel

from victor_dsl.nearest import suggest
from victor_dsl.values.faults import kind_of

_TYPES = {
    **dict.fromkeys(("str", "Markup"), "text"),
    **dict.fromkeys(("int", "float", "complex"), "a number"),
    "bool": "true or false",
    "NoneType": "null",
    **dict.fromkeys(("dict", "FrozenMap", "mappingproxy"), "a map"),
    **dict.fromkeys(("list", "tuple", "FrozenList", "dict_items", "dict_keys", "dict_values", "range"), "a list"),
    **dict.fromkeys(("generator", "filter", "map", "reversed", "odict_items"), "a list that is read once"),
    **dict.fromkeys(("builtin_function_or_method", "method", "function", "type", "Macro"), "a function"),
    **dict.fromkeys(("Settings", "Limits", "ToolLimits", "Thinking"), "a group of settings"),
    **dict.fromkeys(("Undefined", "Missing", "Unset"), "undefined"),
    "LoopContext": "the loop",
    "Namespace": "a namespace",
    "TemplateModule": "an imported template",
}
MOST_SHOWN = 100
"""How many keys, and how many characters of each, are compared with one that is not there."""
_NAMES = "|".join(_TYPES)
_BARE = "str|int|float|bool|NoneType|list|tuple|dict|FrozenMap|FrozenList"
_PYTHON = re.compile(rf"""(['"])(?:\w+\.)*({_NAMES})(?: object)?\1(?: object)?|\b({_BARE})\b""")

_FUNCTION = re.compile(r"(?<![\w.`])(?:sync_do_|do_|test_|_)(\w+)\(\)")
"""How Python calls the functions of filters and tests."""


def plain(error: Exception) -> str:
    """The message of a Python error, with the names of Python's types in plain words."""
    message = str(error)
    if isinstance(error, OverflowError) and message.startswith("Range too big"):
        return f"`range` makes at most {MAX_RANGE:,} numbers"
    if isinstance(error, KeyError):
        return f"there is no key {message}"
    if isinstance(error, ValueError) and "values to unpack" in message:
        return f"{message}; write `for key, value in map.items()` for the keys and values of a map"
    if not isinstance(error, TypeError | AttributeError | ValueError | LookupError):
        return message
    if "__" in message:  # such as: type str doesn't define __round__ method
        return "a value does not fit what is done with it"
    message = _FUNCTION.sub(lambda match: f"`{match[1]}`", message)
    return _PYTHON.sub(lambda match: _TYPES[match[2] or match[3]], message)


class Missing(StrictUndefined):
    """A name, key or attribute that is not there: any use of it but `is defined` and `default` is an error."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        hint, of = self._undefined_hint, self._undefined_obj
        name: Any = self._undefined_name
        if hint:
            return hint
        if of is missing:
            return f"'{name}' is undefined"
        if isinstance(of, Mapping):
            keys = [key for key in islice(of, MOST_SHOWN) if isinstance(key, str) and len(key) <= MOST_SHOWN]
            return f"there is no key '{name}'; {suggest(str(name)[:MOST_SHOWN], keys, what='keys')}"
        if isinstance(of, BaseModel):
            return f"settings have no '{name}'; {suggest(str(name), type(of).model_fields)}"
        if isinstance(name, int) and isinstance(of, str | list | tuple):
            return f"there is no item {name}: there are {len(of)}"
        return f"{what(of)} has no '{name}'"


class Unset(Missing):
    """A value that a turn may lack, such as its user: false in an `if`, equal only to null, and an error in any other use."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return False

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return other is None or isinstance(other, Unset)

    def __ne__(self, other: object) -> bool:  # type: ignore[override]
        return not self == other

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(None)


def what(value: Any) -> str:
    """A value's kind in plain words, for messages."""
    named = _TYPES.get(type(value).__name__)
    return (
        named if named is not None else kind_of(value) if isinstance(value, str | int | float | list | dict) else "this"
    )
