"""Diagnostics for people: place, message, code, the source line with carets below, hint and related places.

    victor.yml:12:13: error: databases has no 'mian' [unknown-name]
       12 |   database: mian
          |             ^^^^
          = hint: did you mean 'main'?
          = victor.yml:3:3: the section begins here

Columns on the screen are not characters: tabs, wide and combining characters are counted as they show.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Protocol

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Span

TAB = 4
WIDEST = 120
"""Columns of source shown; of a longer line, the part around the span."""
LONG = 1000
"""Characters of a line beyond which tabs are not aligned: nobody reads such a line, and each fault on it would measure it."""

_RED, _YELLOW, _BLUE, _BOLD, _DIM, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


class Lines(Protocol):
    """Where source lines come from; `Files` is one."""

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a file; none where they are not known."""
        ...


def render(diagnostic: Diagnostic, files: Lines, *, colour: bool = False, width: int | None = None) -> str:
    """One diagnostic, several lines, without a line break at the end. With a `width` a longer hint goes on below."""
    span = diagnostic.span
    severity = _paint(diagnostic.severity, _RED if diagnostic.severity == "error" else _YELLOW, colour=colour)
    place = _paint(f"{printable(span.file)}:{span.line}:{span.column}:", _BOLD, colour=colour)
    code = _paint(f"[{diagnostic.code}]", _DIM, colour=colour)
    related = [one.span for one in diagnostic.related if one.span.file == span.file]
    margin = max(4, *(len(str(s.line)) + 2 for s in (span, *related)))
    out = [f"{place} {severity}: {printable(diagnostic.message)} {code}"]
    out += _source(span, files, margin, _RED if diagnostic.severity == "error" else _YELLOW, colour=colour)
    note = f"{' ' * margin} {_paint('=', _BLUE, colour=colour)}"
    if diagnostic.hint:
        out.append(
            f"{note} {_paint('hint:', _BOLD, colour=colour)} {_wrapped(printable(diagnostic.hint), margin + 9, width)}"
        )
    for other in diagnostic.related:
        where = f"{printable(other.span.file)}:{other.span.line}:{other.span.column}:"
        out.append(f"{note} {_paint(where, _BOLD, colour=colour)} {printable(other.message)}")
        out += _source(other.span, files, margin, _BLUE, colour=colour)
    return "\n".join(out)


def _wrapped(text: str, indent: int, width: int | None) -> str:
    """A text that begins after `indent` columns, in lines of a width."""
    if width is None or indent + _width(text) <= width:
        return text
    room = max(width - indent, 20)
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def printable(text: str) -> str:
    """The text on one line, with whatever could move a terminal's cursor written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _source(span: Span, files: Lines, margin: int, paint: str, *, colour: bool) -> list[str]:
    """The span's first line and the carets below it; nothing where the file has no such line."""
    lines = files.lines(span.file)
    if not 1 <= span.line <= len(lines) or not lines[span.line - 1].strip():
        return []
    line = lines[span.line - 1]
    start = min(span.column - 1, len(line))
    end = len(line) if span.end_line > span.line else min(max(span.end_column - 1, start), len(line))
    first, last = _window(len(line), start, end)
    end = min(end, last)
    if span.end_line > span.line:
        while end > start + 1 and line[end - 1].isspace():
            end -= 1
    cells = _cells(line, first, last)
    shown = ("…" if first else "") + "".join(cells) + ("…" if last < len(line) else "")
    before = _width("".join(cells[: start - first])) + (1 if first else 0)
    carets = "^" * max(1, _width("".join(cells[start - first : end - first])))
    bar = _paint("|", _BLUE, colour=colour)
    number = _paint(str(span.line).rjust(margin - 1), _BLUE, colour=colour)
    return [
        f"{number}  {bar} {shown.rstrip()}",
        f"{' ' * margin} {bar} {' ' * before}{_paint(carets, paint, colour=colour)}",
    ]


def _cells(line: str, first: int, last: int) -> list[str]:
    """What is shown for each character of a part of a line. Tabs go by columns of the whole line, unless it is long."""
    cells: list[str] = []
    column = _width(line[:first].expandtabs(TAB)) if first < LONG else 0
    for character in line[first:last]:
        cell = character
        if character == "\t":
            cell = " " * (TAB - column % TAB)
        elif not character.isprintable():
            cell = "\N{REPLACEMENT CHARACTER}"
        cells.append(cell)
        column += _width(cell)
    return cells


def _window(length: int, start: int, end: int) -> tuple[int, int]:
    """The part of a line to show: all of it, or WIDEST characters with the span's start in them."""
    if length <= WIDEST:
        return 0, length
    first = max(0, min(start - WIDEST // 4, length - WIDEST)) if end > WIDEST else 0
    return first, min(length, first + WIDEST)


def _width(text: str) -> int:
    """Columns on a terminal: two for wide characters, none for those that combine."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _paint(text: str, paint: str, *, colour: bool) -> str:
    return f"{paint}{text}{_RESET}" if colour else text
