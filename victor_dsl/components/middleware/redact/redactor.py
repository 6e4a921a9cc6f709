"""Removes personal data and keys from texts: whole ones, and streams in pieces of any size."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
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
"""Begin, end and name of a match."""

REMEMBERED_TEXTS = 10_000
"""For so many texts the matches are remembered, so that a history is not searched again in each of its turns."""


class Redactor:
    """The detectors of one middleware; `custom` are patterns that pass `check_pattern`.

    To remember the matches of texts, it stores digests of the texts and the offsets of matches, never text: memory must
    not collect what this middleware is there to remove. The digests have a random key, so nobody can compute them.
    """

    def __init__(self, patterns: Iterable[str], custom: Mapping[str, str]) -> None:
        self._detectors: list[tuple[str, Detector]] = [(name, DETECTORS[name]) for name in dict.fromkeys(patterns)]
        self._detectors += [(name, _finder(re.compile(pattern))) for name, pattern in custom.items()]
        self.reach = max(map(check_pattern, custom.values()), default=0)
        """How many characters at the end of a stream a custom pattern may still match."""
        self._digest = hashlib.blake2b(key=os.urandom(16), digest_size=16)
        self._remembered: OrderedDict[bytes, Sequence[Found]] = OrderedDict()

    def text(self, text: str) -> str:
        """The text with each match replaced by its name; the same object if there is none."""
        digest = self._digest.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        key = digest.digest()
        found = self._remembered.get(key)
        if found is None:
            found = self._remembered[key] = self.find(text, 0)
            if len(self._remembered) > REMEMBERED_TEXTS:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(key)
        return _replace(text, 0, len(text), found) if found else text

    def find(self, text: str, start: int) -> Sequence[Found]:
        """The matches from an offset on, in order; overlapping ones are merged, with the name of the first."""
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
    """Takes a stream's pieces, and returns text as soon as nothing that follows can change its redaction.

    The joined results are exactly what `Redactor.text` returns for the whole text.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = ""
        self._done = 0
        self._word = 0

    def feed(self, piece: str) -> str:
        """The text that can be sent now."""
        before = len(self._text)
        self._text += piece
        for back in range(len(piece) - 1, -1, -1):
            if not (piece[back].isalnum() or piece[back] == "_" or piece[back] in WORD_MARKS):
                self._word = before + back + 1
                break
        return self._up_to(self._settled())

    def waiting(self) -> str:
        """The text, as it came, that was not returned yet."""
        return self._text[self._done :]

    def end(self) -> str:
        """The rest of the text."""
        return self._up_to(len(self._text))

    def _settled(self) -> int:
        """Up to where further text cannot change a match: the beginning of the last word or number."""
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
        piece = _replace(text, done, settled, found)
        drop = max(0, settled - LONGEST_NUMBER - self._redactor.reach)  # what remains before it lets patterns look back
        self._text, self._done, self._word = text[drop:], settled - drop, max(self._word, drop) - drop
        return piece


def _replace(text: str, start: int, stop: int, found: Iterable[Found]) -> str:
    pieces: list[str] = []
    for begin, end, name in found:
        if begin >= stop:
            break
        pieces += text[start:begin], f"[{name}]"
        start = end
    pieces.append(text[start:stop])
    return "".join(pieces)


def _number_begins(text: str, window: int) -> int:
    """Where the phone or card number begins that the text may end in; its length if there is none."""
    place = begins = len(text)
    while place > window and (text[place - 1].isdecimal() or text[place - 1] in NUMBER_MARKS):
        place -= 1
        if text[place].isdecimal() or text[place] in "+(":
            begins = place
    return begins


def _account_begins(text: str, window: int) -> int:
    """Where the grouped account number begins that the text may end in (with a capital letter); its length if there is none."""
    place = begins = len(text)
    while place > window and (sign := text[place - 1]) and _is_account_character(sign):
        place -= 1
        if "A" <= sign <= "Z":
            begins = place
    return begins


def _is_account_character(sign: str) -> bool:
    return "A" <= sign <= "Z" or "0" <= sign <= "9" or sign in NUMBER_MARKS


def _finder(pattern: re.Pattern[str]) -> Detector:
    def find(text: str, start: int) -> Spans:
        return (match.span() for match in pattern.finditer(text, start))

    return find
