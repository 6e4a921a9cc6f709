"""Texts with what is not to be said taken out: whole, or as a stream in pieces of any size."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from victor_dsl.components.middleware.redact.detectors import (
    DETECTORS,
    LONGEST_NUMBER,
    NUMBER_MARKS,
    WORD_MARKS,
    Detector,
    Spans,
)
from victor_dsl.components.middleware.redact.pattern_check import check_pattern

Found = tuple[int, int, str]
"""Beginning, end and name of what is taken out."""


class Redactor:
    """The detectors of one item; `custom` are patterns that `check_pattern` lets pass."""

    def __init__(self, patterns: Iterable[str], custom: Mapping[str, str]) -> None:
        self._detectors: list[tuple[str, Detector]] = [(name, DETECTORS[name]) for name in dict.fromkeys(patterns)]
        self._detectors += [(name, _finder(re.compile(pattern))) for name, pattern in custom.items()]
        self.reach = max(map(check_pattern, custom.values()), default=0)
        """How many characters at the end of a stream a custom pattern may still be at work on."""

    def text(self, text: str) -> str:
        """The text without what is taken out; the same object where that is nothing."""
        found = self.find(text, 0)
        return _without(text, 0, len(text), found) if found else text

    def find(self, text: str, start: int) -> Sequence[Found]:
        """What is to be taken out from an offset on, in order; what overlaps is one, named by its first."""
        found = [(s, e, name) for name, detect in self._detectors for s, e in detect(text, start)]
        if len(found) < 2:
            return found
        found.sort(key=lambda one: one[0])
        merged = [found[0]]
        for begin, end, name in found[1:]:
            last_begin, last_end, last_name = merged[-1]
            if begin < last_end:
                merged[-1] = (last_begin, max(end, last_end), last_name)
            else:
                merged.append((begin, end, name))
        return merged


class RedactedStream:
    """A stream's pieces in, and out as soon as nothing that may follow can change them.

    What comes out, put together, is exactly what `Redactor.text` makes of the whole.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = ""
        self._done = 0
        self._word = 0

    def feed(self, piece: str) -> str:
        """What may go out now."""
        before = len(self._text)
        self._text += piece
        for back in range(len(piece) - 1, -1, -1):
            if not (piece[back].isalnum() or piece[back] == "_" or piece[back] in WORD_MARKS):
                self._word = before + back + 1
                break
        return self._up_to(self._settled())

    def end(self) -> str:
        """What is left."""
        return self._up_to(len(self._text))

    def _settled(self) -> int:
        """Up to where no further text can begin, extend or end a match: there its last word begins, or a number."""
        text = self._text
        settled = min(self._word, len(text) - self._redactor.reach)
        window = max(self._done, len(text) - LONGEST_NUMBER - 1)
        if window < settled:
            settled = min(settled, _number_begins(text, window), _account_begins(text, window))
        return settled

    def _up_to(self, settled: int) -> str:
        done, text = self._done, self._text
        if settled <= done:
            return ""
        found = self._redactor.find(text, done)
        for begin, end, _ in found:
            if begin < settled < end:
                settled = begin
        piece = _without(text, done, settled, found)
        drop = max(0, settled - LONGEST_NUMBER - self._redactor.reach)  # kept, so that patterns can look back
        self._text, self._done, self._word = text[drop:], settled - drop, max(self._word, drop) - drop
        return piece


def _without(text: str, start: int, stop: int, found: Iterable[Found]) -> str:
    pieces: list[str] = []
    for begin, end, name in found:
        if begin >= stop:
            break
        pieces += text[start:begin], f"[{name}]"
        start = end
    pieces.append(text[start:stop])
    return "".join(pieces)


def _number_begins(text: str, window: int) -> int:
    """Where the phone or card number begins that the text may be ending in."""
    place = begins = len(text)
    while place > window and (text[place - 1].isdecimal() or text[place - 1] in NUMBER_MARKS):
        place -= 1
        if text[place].isdecimal() or text[place] in "+(":
            begins = place
    return begins


def _account_begins(text: str, window: int) -> int:
    """Where the account number in groups begins that the text may be ending in: with a capital letter."""
    place = begins = len(text)
    while place > window and (sign := text[place - 1]) and _may_be_of_account(sign):
        place -= 1
        if "A" <= sign <= "Z":
            begins = place
    return begins


def _may_be_of_account(sign: str) -> bool:
    return "A" <= sign <= "Z" or "0" <= sign <= "9" or sign in NUMBER_MARKS


def _finder(pattern: re.Pattern[str]) -> Detector:
    def find(text: str, start: int) -> Spans:
        return (match.span() for match in pattern.finditer(text, start))

    return find
