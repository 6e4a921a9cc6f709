"""Folds a text into the characters that detectors read, and finds the places of what they find in the text as written."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right

from attrs import define, field

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"

_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
"""What Unicode lets no font draw (`Default_Ignorable_Code_Point`), besides format characters: fillers, joiners, variation selectors."""


class _Folds(dict[int, str]):
    """The folded form of each character: empty where it is invisible; computed at its first use."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        self[code] = folded = sign if code < 128 else _fold(sign)
        return folded


def _fold(sign: str) -> str:
    if sign in _DASHES:
        return "-"
    category = unicodedata.category(sign)
    if category == "Cf" or _INVISIBLE.match(sign):
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    if category == "Zs":
        return " "
    plain = unicodedata.normalize("NFKC", sign)
    return plain if len(plain) == 1 and plain.isascii() else sign


_FOLDS = _Folds()


@define
class Folded:
    """A text as written and as folded; both can grow at the end and lose their beginning."""

    written: str = ""
    text: str = ""
    _left_out: list[int] = field(factory=list)
    """Where the invisible characters stand in the text as written, in order."""
    _gaps: list[int] = field(factory=list)
    """Where they would stand in the folded text."""

    def add(self, piece: str) -> None:
        """Adds a piece at the end."""
        if piece.isascii():
            folded = piece
        elif len(folded := piece.translate(_FOLDS)) < len(piece):
            for offset, sign in enumerate(piece, len(self.written)):
                if not _FOLDS[ord(sign)]:
                    self._gaps.append(offset - len(self._left_out))
                    self._left_out.append(offset)
        self.written += piece
        self.text += folded

    def drop(self, count: int) -> None:
        """Removes so many characters, as written, from the beginning."""
        folded = self.folded(count)
        self.written, self.text = self.written[count:], self.text[folded:]
        if self._left_out:
            gone = count - folded
            self._left_out = [offset - count for offset in self._left_out[gone:]]
            self._gaps = [offset - folded for offset in self._gaps[gone:]]

    def place(self, offset: int) -> int:
        """Where the character at an offset of the folded text stands in the text as written."""
        return offset + bisect_right(self._gaps, offset)

    def end(self, offset: int) -> int:
        """Where the character before an offset of the folded text ends in the text as written."""
        return self.place(offset - 1) + 1

    def folded(self, place: int) -> int:
        """The offset in the folded text of a place in the text as written."""
        return place - bisect_left(self._left_out, place)
