"""What calls of methods and functions in templates cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.runtime import LoopContext

from victor_dsl.language.template_work import CHARACTERS_PER_UNIT, Meter, bound

_SEARCHES = frozenset({"count", "find", "index", "partition", "removeprefix", "removesuffix", "split"})
_BACKWARDS = frozenset({"lstrip", "rfind", "rpartition", "rsplit", "rstrip", "strip"})
"""These take the product of the lengths, whatever the text."""


def charge_call(
    meter: Meter, function: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> None:
    """Charges a call of anything but a macro before it is made."""
    of = getattr(function, "__self__", None)
    if isinstance(of, str):
        _charge_text(meter, of, function.__name__, (*arguments, *named.values()))
    elif isinstance(of, list | tuple):
        meter.weigh(of, *arguments)
    elif of is not None or not isinstance(function, LoopContext):
        meter.weigh(*arguments, *named.values())


def _charge_text(meter: Meter, text: str, method: str, arguments: tuple[Any, ...]) -> None:
    """Charges a method of a text: what it searches, and the texts that it makes."""
    meter.weigh(*arguments)
    part = arguments[0] if arguments and isinstance(arguments[0], str) else ""
    if method in _SEARCHES or method in _BACKWARDS:
        meter.search(text, part, backwards=method in _BACKWARDS)
    else:
        meter.charge(len(text) // CHARACTERS_PER_UNIT)
    if method in ("split", "rsplit"):
        pieces = text.count(part) if part else len(text) // 2
        bound(pieces, ())
        meter.charge(pieces)
    elif method == "splitlines":
        meter.charge(len(text) // 2)
