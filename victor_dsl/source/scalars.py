"""What a plain YAML scalar means: the YAML 1.2 core schema, exactly (YAML 1.2.2, §10.3.2).

`on`, `no`, `2026-01-01`, `1_000` and `12:30:45` are text; `010` is ten.
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


def plain(text: str) -> Scalar:
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


def tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with one of SCALAR_TAGS. Raises ValueError where the text is no such value."""
    if tag == "str":
        return text
    if tag == "null" and not text:
        return None
    value = plain(text)
    if tag == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != {"null": "NoneType"}.get(tag, tag):
        raise ValueError(text)
    return value


def _bounded(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise NumberTooLong(text)
    return text
