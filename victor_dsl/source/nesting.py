"""The maps and lists that are open while a text is read, and the anchors that aliases may repeat."""

from __future__ import annotations

from itertools import islice
from typing import Any

from attrs import frozen

from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path, Span

MAX_DEPTH = 100
"""Of maps and lists in one another, aliases followed. The later passes recurse, and rely on it."""

MAX_NODES = 200_000
"""Of keys, values and ends of maps and lists in a file."""

MAX_ALIASED = 100_000
"""Of values that aliases and `<<` add to those written."""

_MOST_SUGGESTED = 64
"""Of many anchors, the newest are those that an unknown alias may mean."""

WANTED = object()
"""Stands for a key: the map wants one next."""

DROPPED = object()
"""Stands for a key at fault: its value is read and dropped."""

MERGED = object()
"""Stands for the key `<<`."""


class Open:
    """A map or list that is being read. `key` is None in a list; in a map a key, `WANTED`, `DROPPED` or `MERGED`."""

    __slots__ = ("aliased", "anchor", "column", "count", "height", "items", "key", "key_span", "line")

    def __init__(self, items: Any, key: object, line: int, column: int) -> None:
        self.items = items
        self.key = key
        self.key_span: Span | None = None
        self.line = line
        self.column = column
        self.height = 0  # of what is in it
        self.anchor: str | None = None
        self.count = 0  # of events before it
        self.aliased = 0  # of nodes added by aliases before it


class Nesting:
    """Where reading is, and the faults found so far. The outermost list takes the document."""

    def __init__(self) -> None:
        self.open = Open([], None, 1, 1)
        self.stack: list[Open] = []  # what `open` stands in, outermost first
        self.diagnostics: list[Diagnostic] = []

    def path(self) -> Path:
        """The path of what is being read."""
        steps: list[str | int] = []
        for open_ in (*self.stack[1:], self.open) if self.stack else ():
            if open_.key is None:
                steps.append(len(open_.items))
            elif isinstance(open_.key, str):
                steps.append(open_.key)
        return tuple(steps)

    def report(self, code: str, message: str, span: Span, hint: str | None = None, *related: Related) -> None:
        """Notes a fault of what is being read, unless it stands inside a key, which is reported itself."""
        if any(outer.key is WANTED for outer in self.stack):
            return
        self.diagnostics.append(Diagnostic(code, message, span, self.path(), hint, related=related))

    def add(self, node: Located) -> None:
        """Puts a finished value where it belongs; a value where a key is wanted is a key at fault, whose value goes."""
        here = self.open
        if here.key is None:
            here.items.append(node)
        elif here.key is WANTED:
            here.key, here.key_span = DROPPED, node.span
        else:
            here.items[here.key] = node
            here.key = WANTED


@frozen
class Anchored:
    """A value with an anchor: `size` counts its nodes, `height` the maps and lists in one another, aliases followed."""

    node: Located
    size: int
    height: int


class Anchors:
    """The anchors of a document so far; one that is written again means its newest value."""

    def __init__(self) -> None:
        self.aliased = 0
        self._known: dict[str, Anchored | None] = {}  # None while the value is being read

    def begin(self, name: str) -> None:
        """A map or list with this anchor begins."""
        self._known[name] = None

    def close(self, name: str, anchored: Anchored) -> None:
        """The value with this anchor is read."""
        self._known[name] = anchored

    def find(self, name: str, span: Span) -> Anchored | Diagnostic:
        """What an alias repeats, or why it cannot. Counts what it adds."""
        anchored = self._known.get(name)
        if anchored is None and name in self._known:
            message = f"'*{name}' is inside the value that it repeats"
            return Diagnostic("alias-loop", message, span, hint="an alias cannot contain itself")
        if anchored is None:
            newest = (name for name, found in reversed(self._known.items()) if found)
            hint = suggest(name, islice(newest, _MOST_SUGGESTED), what="anchors above")
            hint += "; a text that begins with '*' needs quotes"
            return Diagnostic("unknown-alias", f"there is no anchor '&{name}' above", span, hint=hint)
        self.aliased += anchored.size
        if self.aliased > MAX_ALIASED:
            message = f"aliases add more than {MAX_ALIASED:,} values"
            return Diagnostic("too-large", message, span, hint="write the values out, or split the spec")
        return anchored
