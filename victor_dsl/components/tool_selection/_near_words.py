"""Words of a vocabulary that are written much like a word which is not in it: other forms, compounds, typing errors."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

NEAR = 0.5
"""The least cosine of the sets of trigrams."""

SHORTEST, LONGEST = 4, 32
WORDS_KEPT = 1024


class NearWords:
    """A vocabulary by its trigrams; the beginning and the end of a word count as characters."""

    def __init__(self, vocabulary: Collection[str]) -> None:
        self._words = list(vocabulary)
        self._sizes = [0] * len(self._words)
        self._with: dict[str, array[int]] = {}
        self._found: dict[str, tuple[tuple[str, float], ...]] = {}
        for nth, word in enumerate(self._words):
            grams = _trigrams(word)
            self._sizes[nth] = len(grams)
            for gram in grams:
                self._with.setdefault(gram, array("i")).append(nth)

    def of(self, word: str) -> tuple[tuple[str, float], ...]:
        """The words that are near, each with how near it is, 1 at most."""
        if not SHORTEST <= len(word) <= LONGEST:
            return ()
        found = self._found.get(word)
        if found is None:
            grams = _trigrams(word)
            shared = self._shared([places for gram in grams if (places := self._with.get(gram)) is not None])
            nearness = ((self._words[n], both / math.sqrt(len(grams) * self._sizes[n])) for n, both in shared.items())
            found = tuple((other, near) for other, near in nearness if near >= NEAR)
            if len(self._found) >= WORDS_KEPT:
                self._found.clear()
            self._found[word] = found
        return found

    def _shared(self, places: Sequence[array[int]]) -> Mapping[int, int]:
        """How many trigrams each word shares."""
        shared: Counter[int] = Counter()
        for each in places:
            shared.update(each)
        return shared


def _trigrams(word: str) -> set[str]:
    marked = f"<{word}>"
    return {marked[i : i + 3] for i in range(len(marked) - 2)}
