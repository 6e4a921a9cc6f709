"""The bounds of templates, and how much work a value is.

A rendering has so many units of work. What it executes costs units, each value by its size: a list or a map counts all
items of all levels, each time that it holds them, because that is what comparing, sorting or writing it takes.
"""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from functools import cache
from itertools import chain
from typing import Any

from jinja2.exceptions import SecurityError

from victor_dsl.values.frozen import value

MOST_WORK = 200_000
"""The most units of work in one rendering: about 50 ms, and less than 64 MB."""
MOST_WORK_OF_OTHERS = 20_000
"""The most units of work of a template that is not the spec's own but a tenant's: about 5 ms."""
MOST_WORK_OF_CHECKS = 5_000
"""The most units of work of a rendering by `validate`: about as long as compiling a template of a few lines."""
MOST_CHARACTERS = 1_048_576
"""The longest text that may be rendered, or made on the way."""
MOST_ITEMS = 100_000
"""The most items of a list that is made on the way, all levels counted."""
MOST_LEVELS = 100
"""The most levels of lists and maps inside each other."""
MOST_BITS = 1_000
"""The largest number that may be computed, in bits."""
MOST_DIGITS = 300
"""The longest text that is read as a number."""
MOST_PLACES = 300
"""The most decimal places of `round`."""
MOST_INDENT = 100
"""The widest indentation of `indent`."""
MOST_JSON_INDENT = 8
"""The widest indentation of `tojson`."""
MOST_TOKENS = 10_000
"""The most words and signs in the tags of a template, with the texts between them: it is compiled in less than 0.3 s."""
MOST_TAGS = 16
"""The most tags inside each other."""
MOST_NESTED = 60
"""The most parts of a template inside each other, those of expressions included."""

ITEMS_PER_UNIT = 2
"""How many items are compared, hashed or written for one unit."""
CHARACTERS_PER_UNIT = 16
"""How many characters are made, compared or written for one unit."""
COPIES_PER_UNIT = 8
"""How many items are copied for one unit."""
WORK_PER_LEVEL = 8
"""The units of work for each level of lists and maps inside each other."""
STEPS_PER_UNIT = 500
"""How many characters are compared for one unit while a text is searched."""

SCALARS = frozenset({str, int, float, bool, type(None)})
SHORT = 64
"""How many characters are too few to be charged."""
_LONG = 30_000
_FEW = 100
_NUMBERS = frozenset({int, float, bool, type(None)})
_SEQUENCES = (list, tuple, set, frozenset, KeysView, ValuesView, ItemsView)


def bound(size: int, of: Any = "") -> None:
    """Raises SecurityError for a text or a list that is too long."""
    if isinstance(of, str) and size > MOST_CHARACTERS:
        raise SecurityError(f"makes a text of more than {MOST_CHARACTERS:,} characters: shorten what it is made of")
    if not isinstance(of, str) and size > MOST_ITEMS:
        raise SecurityError(f"makes a list of more than {MOST_ITEMS:,} items, all levels counted: take fewer of them")


def bound_bits(bits: int) -> None:
    """Raises SecurityError for a number that is too large."""
    if bits > MOST_BITS:
        raise SecurityError(f"makes a number of more than {MOST_BITS:,} bits: use smaller ones")


@cache
def _shape(kind: type) -> type | None:
    """What values of a type hold: `str`, `dict` or `list` for any like these, None for nothing that is counted."""
    if issubclass(kind, str):
        return str
    return dict if issubclass(kind, Mapping) else list if issubclass(kind, _SEQUENCES) else None


@value
class Level:
    """Items that are equally deep inside a value, their types, and the characters of the texts among them."""

    items: Sequence[Any]
    kinds: Collection[type]
    characters: int


def levels(of: Any) -> Iterator[Level]:
    """The value `of`, then the items in it, then the items in those and so on.

    Raises SecurityError where there are too many items, characters or levels, before it makes the level that has them.
    """
    count, characters, items = 1, 0, [of]
    for _ in range(MOST_LEVELS):
        shapes = {kind: _shape(kind) for kind in set(map(type, items))}
        held = shapes.values()
        written = 0
        if str in held:
            texts = items if len(shapes) == 1 else [item for item in items if shapes[type(item)] is str]
            written = sum(map(len, texts))
            bound(characters := characters + written)
        yield Level(items, shapes, written)
        if dict not in held and list not in held:
            return
        inner: list[Any] = [item for item in items if shapes[type(item)] is list]
        for item in [item for item in items if shapes[type(item)] is dict] if dict in held else ():
            inner += (item.keys(), item.values())
        bound(count := count + sum(map(len, inner)), ())
        items = list(chain.from_iterable(inner))
    raise SecurityError(f"nests lists and maps more than {MOST_LEVELS} levels deep: nest less")


def work_of(found: Iterable[Level]) -> int:
    """The units of work of comparing, hashing or writing a value with these levels."""
    items = characters = depth = 0
    for level in found:
        items += len(level.items)
        characters += level.characters
        depth += 1
    return items // ITEMS_PER_UNIT + characters // CHARACTERS_PER_UNIT + WORK_PER_LEVEL * depth


class Meter:
    """What one rendering may still do. Each method charges before the work is done, and raises SecurityError when there is too much."""

    most_work = work_left = MOST_WORK

    def charge(self, work: int) -> bool:
        """Takes units of work. True, for use in a test."""
        self.work_left -= work
        if self.work_left < 0:
            raise SecurityError(
                f"takes more than {self.most_work:,} units of work: loop over fewer items, or make the value before the turn"
            )
        return True

    def weighed(self, value: Any) -> Any:
        """The value; the comparing, hashing or writing of it is charged."""
        kind = type(value)
        if kind is str:
            if len(value) >= SHORT:
                self.charge(len(value) // CHARACTERS_PER_UNIT)
        elif kind not in SCALARS:
            self.charge(work_of(levels(value)))
        return value

    def weigh(self, *values: Any) -> None:
        """Charges the comparing, hashing or writing of values."""
        if len(values) > _FEW:
            self.charge(len(values))
        for one in values:
            if type(one) not in _NUMBERS:
                self.weighed(one)

    def charge_made(self, size: int, of: Any) -> None:
        """Charges a text like `of`, or a list, of so many characters or items."""
        bound(size, of)
        self.charge(size // (CHARACTERS_PER_UNIT if isinstance(of, str) else COPIES_PER_UNIT))

    def sliced(self, value: Any) -> Any:
        """The value; the copying of its items or characters is charged."""
        if isinstance(value, str | list | tuple):
            self.charge_made(len(value), value)
        return value

    def search(self, text: str, part: Any, *, backwards: bool = False) -> None:
        """Charges looking for a part of a text, which takes Python the product of the lengths, except forwards in a long text."""
        most = len(part) if isinstance(part, str) else 1
        if not backwards and len(text) >= _LONG:
            most = min(most, 6)
        self.charge(1 + len(text) * max(most, 1) // STEPS_PER_UNIT)

    def within(self, part: Any, whole: Any) -> bool:
        """Whether `part in whole`."""
        if isinstance(whole, str):
            self.search(whole, part)
        elif isinstance(whole, Mapping):
            self.weighed(part)
        else:
            whole = whole if isinstance(whole, list | tuple) else self.listed(whole)
            self.weigh(part, whole)
        return part in whole

    def counted(self, values: Iterable[Any], work: int = 1) -> Iterator[Any]:
        """The values, each charged as it is read; those of a short list at once."""
        if isinstance(values, list | tuple) and len(values) <= _FEW:
            self.charge(len(values) * work)
            return iter(values)
        return self._counted(values, work)

    def _counted(self, values: Iterable[Any], work: int) -> Iterator[Any]:
        for one in values:
            self.charge(work)
            yield one

    def listed(self, values: Iterable[Any]) -> list[Any]:
        """A list of the values."""
        if hasattr(values, "__len__"):
            self.charge_made(values.__len__(), ())
            return list(values)
        return list(self._counted(values, 1))
