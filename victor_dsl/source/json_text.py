"""JSON text to located values: exactly JSON (RFC 8259), with every value's place."""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder
from typing import Any

from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path, Span, span_at
from victor_dsl.source.nesting import MAX_DEPTH, MAX_NODES
from victor_dsl.source.yaml12 import MAX_DIGITS

_TOKEN = re.compile(
    r"[ \t\n\r]*+(?:"
    r'"([^"\\\x00-\x1f]*+)"'  # 1: text without escapes
    r"|([{}\[\],:])"  # 2
    r"|(-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][-+]?[0-9]++)?)(?![\w.+-])"  # 3: a number; 4, 5: what makes it a float
    r"|(true|false|null)(?!\w)"  # 6
    r'|(")'  # 7: text with escapes
    r"|())"  # 8: something else
)
_WORDS = {"true": True, "false": False, "null": None}
_DECODER = JSONDecoder()
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"[\w.+-]+|.|$", re.DOTALL)

_DEEP = f"maps and lists are nested more than {MAX_DEPTH} deep"

# What may come next.
_VALUE, _FIRST_VALUE, _KEY, _FIRST_KEY, _COLON, _NEXT, _END = (
    "a value",
    "a value or ']'",
    "a key in double quotes",
    "a key in double quotes or '}'",
    "':' after the key",
    "',' or the end",
    "the end of the file",
)


def compose(text: str, file: str) -> tuple[Located | None, list[Diagnostic]]:
    """The document and the faults found; None where the text is not JSON."""
    even = text.replace("\r\n", " \n").replace("\r", "\n") if "\r" in text else text  # one kind of break, equal places
    composer = _Composer(text, even, file)
    try:
        return composer.read(), composer.diagnostics
    except _Stop as stop:
        return None, [*composer.diagnostics, stop.diagnostic]


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


class _Composer:
    def __init__(self, written: str, text: str, file: str) -> None:
        self.written = written
        self.text = text
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.stack: list[tuple[Any, str | None, Span | None, int, int]] = []
        self.items: Any = []  # of the map or list that is being read
        self.key: str | None = None

    def read(self) -> Located:  # noqa: C901, PLR0915 - one loop, where every call costs
        """The one loop over all tokens."""
        text, file, match = self.text, self.file, _TOKEN.match
        stack = self.stack
        key_span: Span | None = None
        expected = _VALUE
        position, line, line_start = 0, 1, -1  # a column is an index minus line_start
        for _ in range(MAX_NODES * 3):  # a value comes with at most two marks
            token = match(text, position)
            assert token is not None  # its last branch is empty
            which = token.lastindex or 0
            start, end = token.start(which), token.end()
            if which == 1:
                start -= 1
            breaks = text.count("\n", position, start)
            if breaks:
                line += breaks
                line_start = text.rfind("\n", position, start)
            position = end
            column = start - line_start
            if which == 2:
                mark = token[2]
                if mark in "{[":
                    if expected is not _VALUE and expected is not _FIRST_VALUE:
                        raise self.unexpected(start, expected)
                    if len(stack) >= MAX_DEPTH:
                        raise self.stop("too-deep", _DEEP, start)
                    stack.append((self.items, self.key, key_span, line, column))
                    self.items, self.key, key_span = ({}, None, None) if mark == "{" else ([], None, None)
                    expected = _FIRST_KEY if mark == "{" else _FIRST_VALUE
                    continue
                if mark == ":" and expected is _COLON:
                    expected = _VALUE
                    continue
                if mark == "," and expected is _NEXT:
                    expected = _KEY if isinstance(self.items, dict) else _VALUE
                    continue
                if not self.closes(mark, expected):
                    raise self.unexpected(start, expected)
                value: Any = self.items
                self.items, self.key, key_span, first_line, first_column = stack.pop()
                span = Span(file, first_line, first_column, line, column + 1)
            elif which == 8:
                if start == len(text) and expected is _END:
                    return self.items[0]  # type: ignore[no-any-return]
                raise self.unexpected(start, expected)
            else:
                if which == 7:
                    value, position = self.escaped(start)
                elif which == 6:
                    value = _WORDS[token[6]]
                elif which == 1:
                    value = token[1]
                else:
                    value = self.number(token, start)
                span = Span(file, line, column, line, position - line_start)
                if (expected is _KEY or expected is _FIRST_KEY) and which in {1, 7}:
                    self.key, key_span = value, span
                    expected = _COLON
                    continue
                if expected is not _VALUE and expected is not _FIRST_VALUE:
                    raise self.unexpected(start, expected)
            if self.key is None:
                self.items.append(Located(value, span))
            else:
                self.put(Located(value, span, key_span))
                self.key, key_span = None, None
            expected = _NEXT if stack else _END
        raise self.stop("too-large", f"the file has more than {MAX_NODES:,} keys and values", position - 1)

    @staticmethod
    def closes(mark: str, expected: str) -> bool:
        if mark == "}":
            return expected is _FIRST_KEY or expected is _NEXT
        return mark == "]" and (expected is _FIRST_VALUE or expected is _NEXT)

    def put(self, node: Located) -> None:
        """Adds to the map that is being read; a key that it has is a fault, and the first stays."""
        key, key_span = self.key, node.key_span
        first = self.items.get(key)
        if first is None:
            self.items[key] = node
        elif key_span is not None:
            related = (Related("first written here", first.key_span),)
            fault = Diagnostic(
                "duplicate-key",
                f"'{key}' is written twice",
                key_span,
                self.path(),
                "remove one of the two",
                related=related,
            )
            self.diagnostics.append(fault)

    def escaped(self, start: int) -> tuple[str, int]:
        """A text with escapes (or without its end) and the index behind it."""
        try:
            value, end = _DECODER.raw_decode(self.text, start)
        except JSONDecodeError as error:
            if error.msg.startswith("Unterminated"):
                raise self.stop("json-syntax", "this text is never closed", start, 'close it with "') from None
            if error.msg.startswith("Invalid control"):
                hint = "write a line break as \\n and a tab as \\t"
                raise self.stop(
                    "json-syntax", "a text in JSON stands on one line, without tabs", error.pos, hint
                ) from None
            raise self.stop("json-syntax", "there is no such escape", error.pos, "write \\\\ for a backslash") from None
        if _LONE_SURROGATE.search(value):
            raise self.stop(
                "json-syntax", "this text has half of a surrogate pair", start, "write the character itself"
            )
        return value, end

    def number(self, token: re.Match[str], start: int) -> int | float | None:
        written = token[3]
        if len(written) > MAX_DIGITS:
            message = f"a number of {len(written)} characters is too long"
            span = span_at(self.file, self.written, start, start + len(written))
            hint = f"at most {MAX_DIGITS} are read; quote it if it is text"
            self.diagnostics.append(Diagnostic("bad-number", message, span, self.path(), hint))
            return None
        return float(written) if token[4] or token[5] else int(written)

    def path(self) -> Path:
        """The path of what is being read."""
        inner = [(items, key) for items, key, *_ in self.stack[1:]] + [(self.items, self.key)] * bool(self.stack)
        steps = (len(items) if isinstance(items, list) else key for items, key in inner)
        return tuple(step for step in steps if step is not None)

    def unexpected(self, start: int, expected: str) -> _Stop:
        """An unexpected character."""
        found = _WORD.match(self.text, start)
        word = found.group() if found else ""
        wanted = expected
        if expected is _NEXT:
            wanted = "',' or '}'" if isinstance(self.items, dict) else "',' or ']'"
        if not word:
            return self.stop("json-syntax", f"the file ends where {wanted} is expected", start)
        hint = None
        if word in {"/", "#"}:
            hint = "JSON has no comments; a .yml file does"
        elif word == "'":
            hint = "JSON's quotes are double"
        elif expected in (_KEY, _VALUE) and word in "}]":
            hint = "JSON has no ',' before the end of a map or list"
        elif word.lower() in ("none", "null", "true", "false"):
            hint = "JSON writes null, true and false in small letters"
        return self.stop("json-syntax", f"expected {wanted}, found '{word[:40]}'", start, hint, length=len(word))

    def stop(self, code: str, message: str, start: int, hint: str | None = None, *, length: int = 1) -> _Stop:
        span = span_at(self.file, self.written, start, start + length)
        return _Stop(Diagnostic(code, message, span, self.path(), hint))
