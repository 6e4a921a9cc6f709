"""The filters of templates: Jinja2's own, those that make text or much of it replaced by bounded and strict ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as JINJA
from jinja2.runtime import Macro, Undefined
from pydantic import BaseModel

MOST_CHARACTERS = 1_048_576
"""The longest text that may be rendered, or made on the way."""
MOST_ITEMS = 100_000
"""The most items of a list that is made on the way, all levels counted."""
MOST_BITS = 10_000
"""The largest number that may be computed, in bits."""
MOST_INDENT = 100
"""The widest indentation of `indent`."""
MOST_JSON_INDENT = 8
"""The widest indentation of `tojson`."""

PLAIN_FILTERS = (
    *("abs", "count", "d", "default", "dictsort", "filesizeformat", "first", "float", "groupby", "int"),
    *("items", "last", "length", "list", "map", "max", "min", "reject", "rejectattr", "reverse", "round"),
    *("select", "selectattr", "sort", "sum", "truncate", "unique"),
)
"""Jinja2's own filters that templates have. Those for HTML, random ones and unbounded ones are left out."""
TEXT_FILTERS = ("capitalize", "lower", "string", "title", "trim", "upper", "urlencode", "wordcount")
"""Jinja2's own filters that make a text of whatever they get."""
_SMALL = (str, int, float)
WIDTH = re.compile(r"%[^%a-zA-Z]*(\d{4}|\*)")


def filters() -> dict[str, Callable[..., Any]]:
    """Every filter by its name."""
    own = {"format": format_text, "indent": _indent, "join": _join, "replace": _replace, "tojson": _tojson}
    of_text = {name: _of_text(JINJA[name]) for name in TEXT_FILTERS}
    return {name: JINJA[name] for name in PLAIN_FILTERS} | of_text | own


def bound(size: int, of: Any = "") -> None:
    """Raises SecurityError for a text or a list that is too long."""
    if isinstance(of, str) and size > MOST_CHARACTERS:
        raise SecurityError(f"makes a text of more than {MOST_CHARACTERS:,} characters")
    if not isinstance(of, str) and size > MOST_ITEMS:
        raise SecurityError(f"makes a list of more than {MOST_ITEMS:,} items")


def bound_bits(bits: int) -> None:
    """Raises SecurityError for a number that is too large."""
    if bits > MOST_BITS:
        raise SecurityError(f"makes a number of more than {MOST_BITS:,} bits")


def printable(value: Any, *, nulls: bool = False) -> Any:
    """The value, if a prompt may contain it: texts, numbers, true and false, and lists and maps of these within the bounds.

    A list of one list many times over is small until it is written. Raises SecurityError; UndefinedError for what is undefined.
    """
    if isinstance(value, _SMALL):
        return value
    items = characters = 0
    waiting: list[Any] = [value]
    while waiting:
        here = waiting.pop()
        items += 1
        if isinstance(here, Undefined):
            str(here)  # raises, unless an `if` without `else` left it
            continue
        characters += len(here) if isinstance(here, str) else 4
        bound(items, ())
        bound(characters)
        if isinstance(here, Mapping):
            waiting += [*here.keys(), *here.values()]
        elif isinstance(here, list | tuple | set | frozenset):
            waiting += here
        elif not isinstance(here, str | int | float) and not (here is None and nulls):
            raise SecurityError(_unprintable(here))
    return value


def _unprintable(value: Any) -> str:
    if value is None:
        return "there is a null, not text; write `| default('…', true)` or `{% if … %}`"
    if isinstance(value, BaseModel):
        return "a group of settings is not text; name one setting, such as `settings.model`"
    if isinstance(value, Macro):
        name = value.name or "caller"
        return f"'{name}' is a macro; call it: `{{{{ {name}(…) }}}}`"
    if isinstance(value, Iterable) and not isinstance(value, type) and not hasattr(value, "root_render_func"):
        return "this is a sequence, not a text; write `| join(', ')` or `| list`"
    return "this is a function or a part of the template, not a text"


def text_of(value: Any) -> str:
    """The text of a printable value."""
    text: str = str(printable(value))
    return text


def _of_text(filter: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter)
    def checked(value: Any, *arguments: Any, **options: Any) -> Any:
        return filter(printable(value), *arguments, **options)

    return checked


def _join(value: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    """The items' texts with `d` between them."""
    if attribute is not None:
        raise SecurityError("join has no `attribute` here; write `map(attribute=…) | join`")
    parts: list[str] = []
    length = 0
    for item in value:
        parts.append(text_of(item))
        length += len(parts[-1]) + len(d)
        bound(length)
        bound(len(parts), ())
    return d.join(parts)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    """The text with `old` replaced by `new`."""
    if not isinstance(old, str) or not isinstance(new, str):
        raise SecurityError("replace takes two texts: `replace('old', 'new')`")
    known: str = text_of(text)
    found = known.count(old) if count < 0 else min(count, known.count(old))
    bound(len(known) + found * (len(new) - len(old)))
    return known.replace(old, new, count)


def format_text(pattern: Any, *values: Any, **named: Any) -> str:
    """`printf` formatting: `"%.2f"|format(price)`."""
    pattern = text_of(pattern)
    if WIDTH.search(pattern):
        raise SecurityError("formats with a width of more than 999")
    longest = max((len(text_of(value)) for value in (*values, *named.values())), default=0)
    bound(len(pattern) + pattern.count("%") * longest)
    text: str = pattern % (named or values)
    return text


def _indent(text: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """The text with each line indented: the first only with `first`, empty ones only with `blank`."""
    if not isinstance(width, int | str):
        raise SecurityError("indent takes a number of spaces, or the text to indent with")
    if isinstance(width, int) and width > MOST_INDENT:
        raise SecurityError(f"indents by more than {MOST_INDENT} spaces")
    space = width if isinstance(width, str) else " " * width
    lines = text_of(text).split("\n")
    bound(sum(map(len, lines)) + len(lines) * len(space))
    moved = [space + line if (first or number) and (line or blank) else line for number, line in enumerate(lines)]
    return "\n".join(moved)


def _tojson(value: Any, indent: int | None = None) -> str:
    """The value as JSON for a model to read: nothing is escaped for HTML."""
    if indent is not None and not (isinstance(indent, int) and 0 <= indent <= MOST_JSON_INDENT):
        raise SecurityError(f"tojson indents by 0 to {MOST_JSON_INDENT} spaces")
    try:
        return json.dumps(printable(value, nulls=True), ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError as error:
        raise SecurityError("JSON has no infinity and no NaN") from error
