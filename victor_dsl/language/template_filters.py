"""The filters of templates: Jinja2's own, each with a charge for what it is given, and some replaced by strict ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from functools import wraps
from typing import Any, cast

from jinja2 import pass_context, pass_environment
from jinja2.exceptions import SecurityError
from jinja2.filters import FILTERS as JINJA
from jinja2.filters import make_attrgetter, make_multi_attrgetter
from jinja2.runtime import Context, Macro, Undefined
from pydantic import BaseModel

from victor_dsl.language.template_work import (
    CHARACTERS_PER_UNIT,
    COPIES_PER_UNIT,
    MOST_CHARACTERS,
    MOST_DIGITS,
    MOST_INDENT,
    MOST_JSON_INDENT,
    MOST_PLACES,
    SHORT,
    Level,
    Meter,
    bound,
    levels,
    work_of,
)

PASSED_FILTERS = ("count", "d", "default", "first", "items", "last", "length")
"""Jinja2's own filters that look at one item or none."""
NUMBER_FILTERS = ("abs", "filesizeformat", "float", "int", "round")
"""Jinja2's own filters that make a number, or the text of one."""
LAZY_FILTERS = ("map", "reject", "rejectattr", "select", "selectattr")
"""Jinja2's own filters that make a list that is read once: each item is charged when it is read."""
LIST_FILTERS = ("dictsort", "groupby", "list", "max", "min", "reverse", "sort", "unique")
"""Jinja2's own filters that read whole lists."""
TEXT_FILTERS: Mapping[str, int] = {
    **dict.fromkeys(("capitalize", "lower", "string", "trim", "truncate", "upper"), 0),
    **dict.fromkeys(("title", "urlencode", "wordcount"), 1),
}
"""Jinja2's own filters that make a text of whatever they get, and the units of work for each character."""
_SORTED = frozenset({"dictsort", "groupby", "sort"})
_ATTRIBUTE = {"dictsort": 9, "groupby": 0, "max": 1, "min": 1, "sort": 2, "unique": 1}
"""The filters that compare items, and which of their arguments names what is compared of each."""
_KEY_WORK = 5
"""The units of work of finding what an item is sorted or compared by."""
_ITEM_WORK = 8
"""The units of work of a filter or test that `map` and the like call for an item, besides its own."""
_SMALL = (str, int, float)
_HELD = (Mapping, list, tuple, set, frozenset)
_CONVERSION = re.compile(r"%(?:\([^()%]*\))?[-#0 +]*(\d{0,3})(?:\.(\d{0,3}))?[a-zA-Z%]")


def filters() -> dict[str, Callable[..., Any]]:
    """Every filter by its name."""
    own = {"format": format_text, "indent": _indent, "join": _join, "replace": _replace, "sum": _sum, "tojson": _tojson}
    made = {name: JINJA[name] for name in PASSED_FILTERS}
    made |= {name: _of_number(name) for name in NUMBER_FILTERS} | {name: _lazy(name) for name in LAZY_FILTERS}
    return (
        made | {name: _of_list(name) for name in LIST_FILTERS} | {name: _of_text(name) for name in TEXT_FILTERS} | own
    )


@pass_context
def finalize(context: Context, value: Any) -> Any:
    """What a template writes. It wants the context, without which Jinja2 would compute constants as it compiles."""
    if isinstance(value, _SMALL) and not (isinstance(value, str) and len(value) >= SHORT):
        return value
    return printable(cast("Any", context.environment), value)


def printable(meter: Meter, value: Any, *, nulls: bool = False) -> Any:
    """The value, if a prompt may contain it: texts, numbers, true and false, and lists and maps of these within the bounds.

    Raises SecurityError; UndefinedError for what is undefined.
    """
    if isinstance(value, _SMALL):
        return meter.weighed(value) if isinstance(value, str) else value
    meter.charge(2 * work_of(_printable(levels(value), nulls=nulls)))  # once to look, once to write
    return value


def _printable(found: Iterable[Level], *, nulls: bool) -> Iterator[Level]:
    for level in found:
        for kind in level.kinds:
            if not issubclass(kind, (*_SMALL, *_HELD)) and not (nulls and kind is type(None)):
                _refuse_unprintable(next(item for item in level.items if type(item) is kind))
        yield level


def _refuse_unprintable(value: Any) -> None:
    if isinstance(value, Undefined):
        str(value)  # raises, unless an `if` without `else` left it
    else:
        raise SecurityError(_unprintable(value))


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


def text_of(meter: Meter, value: Any) -> str:
    """The text of a printable value."""
    text: str = str(printable(meter, value))
    return text


def _passing(name: str) -> Callable[..., Any]:
    """Jinja2's filter, called with a context whatever it wants of it."""
    run: Callable[..., Any] = JINJA[name]
    run = getattr(run, "__wrapped__", run)  # without its async variant
    wanted = getattr(run, "jinja_pass_arg", None)
    if wanted is None:
        return lambda _, *arguments, **options: run(*arguments, **options)
    if wanted.name == "context":
        return run
    assert wanted.name == "environment"
    return lambda context, *arguments, **options: run(context.environment, *arguments, **options)


def _filter(name: str, prepare: Callable[..., Any]) -> Callable[..., Any]:
    """Jinja2's filter with a value that is prepared, and the arguments charged."""
    run = _passing(name)

    @pass_context
    @wraps(JINJA[name], updated=())
    def checked(context: Context, value: Any, *arguments: Any, **options: Any) -> Any:
        meter: Any = context.environment
        if arguments or options:
            meter.weigh(*arguments, *options.values())
        return run(context, prepare(meter, value, arguments, options), *arguments, **options)

    return checked


def _of_text(name: str) -> Callable[..., Any]:
    work = TEXT_FILTERS[name]

    def prepare(meter: Meter, value: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        if name == "trim" and (arguments or options):
            for part in (*arguments, *options.values()):
                meter.search(text_of(meter, value), part, backwards=True)
        if work:
            written = value if name == "urlencode" else text_of(meter, value)
            meter.charge(sum(_ITEM_WORK * len(level.items) + level.characters for level in levels(written)))
        return printable(meter, value)

    return _filter(name, prepare)


def _of_number(name: str) -> Callable[..., Any]:
    def prepare(_: Meter, value: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        if isinstance(value, str) and len(value) > MOST_DIGITS:
            raise SecurityError(f"{name} reads texts of at most {MOST_DIGITS:,} characters")
        if name == "round" and any(
            isinstance(given, int) and abs(given) > MOST_PLACES for given in (*arguments, *options.values())
        ):
            raise SecurityError(f"round takes at most {MOST_PLACES} decimal places")
        return value

    return _filter(name, prepare)


def _lazy(name: str) -> Callable[..., Any]:
    def prepare(meter: Meter, value: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        return meter.counted(value, _ITEM_WORK + _steps(*arguments, *options.values())) if value else value

    return _filter(name, prepare)


def _of_list(name: str) -> Callable[..., Any]:
    def prepare(meter: Meter, value: Any, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        if name == "reverse" and isinstance(value, str):
            return meter.sliced(value)
        items = value if name == "dictsort" else meter.listed(value)
        if name in _ATTRIBUTE:
            attribute = options.get("attribute", next(iter(arguments[_ATTRIBUTE[name] :]), None))
            meter.charge(len(items) * _KEY_WORK * (1 + _steps(attribute)))
            keys = items if attribute is None else list(map(make_multi_attrgetter(meter, attribute), items))  # type: ignore[arg-type]
            meter.charge(work_of(levels(keys)) * (len(items).bit_length() if name in _SORTED else 1))
        return items

    return _filter(name, prepare)


def _steps(*arguments: Any) -> int:
    """How many attributes the arguments name, inside each other or one after the other."""
    return sum(1 + given.count(".") + given.count(",") for given in arguments if isinstance(given, str))


@pass_environment
def _join(meter: Meter, value: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    """The items' texts with `d` between them."""
    if attribute is not None:
        raise SecurityError("join has no `attribute` here; write `map(attribute=…) | join`")
    parts: list[str] = []
    length = 0
    between = len(d)
    for item in meter.counted(value, 2 + between // CHARACTERS_PER_UNIT):
        text = item if type(item) is str else text_of(meter, item)
        length += len(text) + between
        if length > MOST_CHARACTERS:
            bound(length)
        parts.append(text)
    meter.charge(length // CHARACTERS_PER_UNIT)
    return d.join(parts)


@pass_environment
def _replace(meter: Meter, text: Any, old: str, new: str, count: int = -1) -> str:
    """The text with `old` replaced by `new`."""
    if not isinstance(old, str) or not isinstance(new, str):
        raise SecurityError("replace takes two texts: `replace('old', 'new')`")
    known = text_of(meter, text)
    meter.search(known, old)
    found = known.count(old) if count < 0 else min(count, known.count(old))
    meter.charge_made(len(known) + found * (len(new) - len(old)), "")
    return known.replace(old, new, count)


@pass_environment
def format_text(meter: Meter, pattern: Any, *values: Any, **named: Any) -> str:
    """`printf` formatting: `"%.2f"|format(price)`."""
    pattern = text_of(meter, pattern)
    meter.charge(_KEY_WORK * pattern.count("%"))
    widths = [int(width or 0) + int(places or 0) for width, places in _CONVERSION.findall(pattern)]
    if "%" in _CONVERSION.sub("", pattern):
        raise SecurityError("formats with something other than `%s`, `%.2f` and the like, and widths up to 999")
    longest = max((len(text_of(meter, value)) for value in (*values, *named.values())), default=0)
    meter.charge_made(len(pattern) + sum(widths) + len(widths) * longest, "")
    text: str = pattern % (named or values)
    return text


@pass_environment
def _indent(meter: Meter, text: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """The text with each line indented: the first only with `first`, empty ones only with `blank`."""
    if not isinstance(width, int | str):
        raise SecurityError("indent takes a number of spaces, or the text to indent with")
    if isinstance(width, int) and width > MOST_INDENT:
        raise SecurityError(f"indents by more than {MOST_INDENT} spaces")
    space = width if isinstance(width, str) else " " * width
    known = text_of(meter, text)
    count = known.count("\n") + 1
    meter.charge(2 * count)
    meter.charge_made(len(known) + count * len(space), "")
    lines = known.split("\n")
    moved = [space + line if (first or number) and (line or blank) else line for number, line in enumerate(lines)]
    return "\n".join(moved)


@pass_environment
def _sum(meter: Meter, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """The numbers together; with a `start` that is a list, the lists one after the other."""
    items = meter.listed(iterable)
    meter.charge(len(items) * (_KEY_WORK + _steps(attribute)))
    if attribute is not None:
        items = list(map(make_attrgetter(meter, attribute), items))  # type: ignore[arg-type]
    if not isinstance(start, int | float):
        length = sum(len(item) for item in items if isinstance(item, Sized))
        bound(length, ())
        meter.charge(length * len(items) // COPIES_PER_UNIT)
    return sum(items, start)


@pass_environment
def _tojson(meter: Meter, value: Any, indent: int | None = None) -> str:
    """The value as JSON for a model to read: nothing is escaped for HTML."""
    if indent is not None:
        if not (isinstance(indent, int) and 0 <= indent <= MOST_JSON_INDENT):
            raise SecurityError(f"tojson indents by 0 to {MOST_JSON_INDENT} spaces")
        items = [len(level.items) for level in levels(value)]
        meter.charge(_KEY_WORK * sum(items))
        meter.charge_made(sum(indent * depth * number for depth, number in enumerate(items)), "")
    try:
        return json.dumps(printable(meter, value, nulls=True), ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError as error:
        raise SecurityError("JSON has no infinity and no NaN") from error
