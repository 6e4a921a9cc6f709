"""Where YAML 1.2 differs from YAML 1.1, which the C parser reads: what a plain scalar means, and which characters are text.

The core schema, exactly (YAML 1.2.2, §10.3.2): `on`, `no`, `2026-01-01`, `1_000` and `12:30:45` are text; `010` is ten.
Characters that only YAML 1.1 gives a meaning are hidden from the parser: each is replaced by a private character that
the text lacks, so that every place stays where it is.
"""

from __future__ import annotations

import re

MAX_DIGITS = 1000
"""Longer numbers are refused: Python itself will not print an int of more than 4,300 digits."""

MEANINGFUL = frozenset("-+.0123456789nNtTfF~")
"""What a plain scalar starts with where it may mean something else than its text."""

Scalar = None | bool | int | float | str

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("null", "Null", "NULL", "~")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

SCALAR_TAGS = ("str", "int", "float", "bool", "null")


class NumberTooLong(ValueError):
    """A number has more than MAX_DIGITS digits."""


def plain_scalar(text: str) -> Scalar:
    """The value of a plain scalar. Raises NumberTooLong."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(_bounded(text))
    if _FLOAT.fullmatch(text):
        return float(_bounded(text))
    if _OCTAL.fullmatch(text):
        return int(_bounded(text), 0)
    if _HEX.fullmatch(text):
        return int(_bounded(text), 0)
    return text


def tagged_scalar(tag: str, text: str) -> Scalar:
    """The value of a scalar with one of SCALAR_TAGS. Raises ValueError where the text is no such value."""
    if tag == "str":
        return text
    if tag == "null" and not text:
        return None
    value = plain_scalar(text)
    if tag == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != {"null": "NoneType"}.get(tag, tag):
        raise ValueError(text)
    return value


def _bounded(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise NumberTooLong(text)
    return text


UNEXPECTED_COLON = "found unexpected ':'"
"""What the parser says of a ':' inside a plain text in `[…]` or `{…}`, such as an address."""

_NO_BREAKS = "\x85\u2028\u2029"  # break lines in YAML 1.1 only
_COLON_IN_TEXT = re.compile(
    r"""(?<=[^\s,\[\]{}"']):(?=[^\s,\[\]{}"'])"""
)  # an indicator has space, a bracket or a quote beside it
_MARK_IN_TEXT = re.compile(
    r"(?<=[^\s\[{,])\?|\?(?=[^\s,\[\]{}])"
)  # an indicator has space around it, or a bracket before
_PRIVATE = range(0xE000, 0xF900)


def mask(text: str, *, colons: bool = False) -> tuple[str, dict[int, str]]:
    """The text for the parser, and the table that translates back what it reads; empty where nothing was hidden."""
    hidden = "".join(c for c in _NO_BREAKS if c in text) + "?" * ("?" in text) + ":" * colons
    if not hidden:
        return text, {}
    free = (chr(code) for code in _PRIVATE if chr(code) not in text)
    masks = dict(zip(hidden, free, strict=False))
    masked = text
    for character, private in masks.items():
        if character == "?":
            masked = _MARK_IN_TEXT.sub(private, masked)
        elif character == ":":
            masked = _COLON_IN_TEXT.sub(private, masked)
        else:
            masked = masked.replace(character, private)
    return masked, {ord(private): character for character, private in masks.items()}
