"""Hides from the YAML 1.1 parser the characters that YAML 1.2 reads as plain text.

Each is replaced by a private character that the text lacks, so that every place stays where it is.
"""

from __future__ import annotations

import re

UNEXPECTED_COLON = "found unexpected ':'"
"""What the parser says of a ':' inside a plain text in `[…]` or `{…}`, such as an address."""

_NO_BREAKS = "\x85\u2028\u2029"  # break lines in YAML 1.1 only
_COLON_IN_TEXT = re.compile(r"(?<=\w):(?=[\w/])")  # never an indicator in YAML 1.2, since no quote is before it
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
