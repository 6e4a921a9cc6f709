"""Lines and columns of a text, counted as editors do: LF, CRLF and a lone CR end a line, nothing else does."""

from __future__ import annotations

from victor_dsl.source.located import Span


def lines_of(text: str) -> list[str]:
    """The lines without their ends; a text that ends with a line break has an empty last line."""
    return _plain_breaks(text).split("\n")


def place(text: str, index: int) -> tuple[int, int]:
    """The line and column (1-based) of the character at an index."""
    if index and text[index - 1 : index + 1] == "\r\n":
        index -= 1  # both belong to the line that they end
    before = _plain_breaks(text[:index])
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def span_at(file: str, text: str, start: int, end: int) -> Span:
    """The span of `text[start:end]`, moved back behind the last visible character where it begins later."""
    visible = len(text.rstrip(" \t\r\n"))
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
