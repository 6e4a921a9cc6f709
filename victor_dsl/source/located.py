"""Values that remember where they were written, and the lines and columns of a text.

Lines count as editors do: LF, CRLF and a lone CR end a line, nothing else does.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

_BREAK = re.compile(r"\r\n|\r|\n")

Path = tuple[str | int, ...]
"""A place inside a document: keys and list indices from the top."""


class Span(NamedTuple):
    """A stretch of a file, 1-based; `end_column` points behind the last character. Lines count as editors do."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


NOWHERE = Span("", 1, 1, 1, 1)
"""The span of what nobody wrote."""


class Located:
    """A value and the place that wrote it.

    `value` is None, bool, int, float, str, `Interpolated`, a list of Located, or a dict from str to Located.
    `key_span` is the place of the key that the value stands under, where it stands in a map. Treated as
    immutable: overlays share the parts that they do not change, and caches go by identity.
    """

    __slots__ = ("key_span", "span", "value")

    def __init__(self, value: Any, span: Span, key_span: Span | None = None) -> None:
        self.value = value
        self.span = span
        self.key_span = key_span

    def __repr__(self) -> str:
        return f"Located({self.value!r}, {self.span.file}:{self.span.line}:{self.span.column})"

    def at(self, path: Path) -> Located:
        """The value at a path, or the deepest one on the way there that exists. `+key` stands in for a `key` that is not there."""
        here = self
        for step in path:
            value = here.value
            if isinstance(value, dict) and (key := step if step in value else f"+{step}") in value:
                here = value[key]
            elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
                here = value[step]
            else:
                break
        return here

    def get(self, key: str) -> Located | None:
        """The value under a key, or None where this is not a map or lacks the key."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def leaves(self) -> Iterator[Located]:
        """Every value below and including this one that is neither a map nor a list, in no particular order."""
        stack = [self]
        while stack:
            here = stack.pop()
            if isinstance(here.value, dict):
                stack.extend(here.value.values())
            elif isinstance(here.value, list):
                stack.extend(here.value)
            else:
                yield here

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, Located]]:
        """Every value below and including this one, with its path, in order of writing."""
        stack: list[tuple[Path, Located]] = [(path, self)]
        while stack:
            where, here = stack.pop()
            yield where, here
            if isinstance(here.value, dict):
                stack.extend([((*where, key), child) for key, child in here.value.items()][::-1])
            elif isinstance(here.value, list):
                stack.extend([((*where, i), child) for i, child in enumerate(here.value)][::-1])


def pointer(path: Path) -> str:
    """A path as a JSON pointer (RFC 6901): `/providers/0/path`; the top is the empty text."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def lines_of(text: str) -> list[str]:
    """The lines without their ends; a text that ends with a line break has an empty last line."""
    return _plain_breaks(text).split("\n")


def place(text: str, index: int) -> tuple[int, int]:
    """The line and column (1-based) of the character at an index."""
    if index and text[index - 1 : index + 1] == "\r\n":
        index -= 1  # both belong to the line that they end
    starts, _ = _layout(text)
    line = bisect_right(starts, index)
    return line, index - starts[line - 1] + 1


@lru_cache(maxsize=2)
def _layout(text: str) -> tuple[list[int], int]:
    """Where each line of a text begins, and where its last visible character ends: a text may have a fault on every line."""
    return [0, *(found.end() for found in _BREAK.finditer(text))], len(text.rstrip(" \t\r\n"))


def span_at(file: str, text: str, start: int, end: int) -> Span:
    """The span of `text[start:end]`, moved back behind the last visible character where it begins later."""
    _, visible = _layout(text)
    if start >= visible:
        start = end = visible
    elif text[start] in "\r\n":
        end = start
    line, column = place(text, start)
    end_line, end_column = place(text, end) if end > start else (line, column)
    return Span(file, line, column, end_line, end_column)


def trimmed_end(text: str, start: int, end: int, line: int, column: int) -> tuple[int, int]:
    """Where the last visible character of `text[start:end]` ends, for a stretch that starts at line and column."""
    stretch = _plain_breaks(text[start:end].rstrip(" \t\r\n"))
    breaks = stretch.count("\n")
    if not breaks:
        return line, column + len(stretch)
    return line + breaks, len(stretch) - stretch.rfind("\n")


def _plain_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
