"""Removes personal data and keys from texts: whole ones, and streams in pieces of any size."""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from victor_dsl.values.redaction.detectors import DETECTORS, LONGEST_NUMBER, is_word_sign
from victor_dsl.values.redaction.folding import Folded
from victor_dsl.values.redaction.pattern_check import check_pattern

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
        self._detectors = [(name, DETECTORS[name]) for name in dict.fromkeys(patterns)]
        self._undecided = tuple(dict.fromkeys(detector.undecided for _, detector in self._detectors))
        self._custom = [(name, re.compile(pattern)) for name, pattern in custom.items()]
        self._reach = max(map(check_pattern, custom.values()), default=0)
        self.look_back = LONGEST_NUMBER + self._reach
        """How many characters before a match may matter for it."""
        self._digest = hashlib.blake2b(key=os.urandom(16), digest_size=16)
        self._remembered: OrderedDict[bytes, Sequence[Found]] = OrderedDict()

    def text(self, text: str) -> str:
        """The text with each match replaced by its name; the same object if there is none."""
        digest = self._digest.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        key = digest.digest()
        found = self._remembered.get(key)
        if found is None:
            folded = Folded()
            folded.add(text)
            found = self._remembered[key] = self.find(folded, 0)
            if len(self._remembered) > REMEMBERED_TEXTS:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(key)
        return _replace(text, 0, len(text), found) if found else text

    def find(self, text: Folded, start: int) -> Sequence[Found]:
        """The matches from a place on, in order; overlapping ones are merged, with the name of the first."""
        begin = text.folded(start)
        found = [
            (text.place(s), text.end(e), name)
            for name, detector in self._detectors
            for s, e in detector.find(text.text, begin)
        ]
        found += [
            (*match.span(), name) for name, pattern in self._custom for match in pattern.finditer(text.written, start)
        ]
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

    def undecided(self, text: Folded, start: int, word: int) -> int:
        """The first place from which further text may change the matches after `start`. The last word begins at `word`."""
        place = len(text.written) - self._reach
        if self._undecided:
            begin, offset = text.folded(start), len(text.text)
            for undecided in self._undecided:
                offset = min(offset, undecided(text.text, begin, word))
                if offset <= begin:
                    return start
            place = min(place, text.place(offset))
        return place


class RedactedStream:
    """Takes a stream's pieces, and returns text as soon as nothing that follows can change its redaction.

    The joined results are exactly what `Redactor.text` returns for the whole text.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = Folded()
        self._done = 0
        self._word = 0
        """Where the word that the text may end in begins, in the folded text."""

    def feed(self, piece: str) -> str:
        """The text that can be sent now."""
        before = len(self._text.text)
        self._text.add(piece)
        folded = self._text.text
        for place in range(len(folded) - 1, before - 1, -1):
            if not is_word_sign(folded[place]):
                self._word = place + 1
                break
        return self._up_to(self._redactor.undecided(self._text, self._done, self._word))

    def waiting(self) -> str:
        """The text, as it came, that was not returned yet."""
        return self._text.written[self._done :]

    def end(self) -> str:
        """The rest of the text."""
        return self._up_to(len(self._text.written))

    def _up_to(self, settled: int) -> str:
        done, text = self._done, self._text
        if settled <= done:
            return ""
        found = self._redactor.find(text, done)
        for begin, end, _ in found:
            if begin < settled < end:
                settled = begin
        piece = _replace(text.written, done, settled, found)
        drop = max(0, settled - self._redactor.look_back)
        self._done = settled - drop
        self._word = max(0, self._word - text.folded(drop))
        text.drop(drop)
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
