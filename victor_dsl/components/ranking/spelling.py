"""Words that are spelled much like one another: other forms, compounds, typing errors."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection

SIMILAR = 0.5
"""The least cosine of two words' sets of trigrams."""

SHORTEST, LONGEST = 4, 32
REMEMBERED_WORDS = 1024


class Spelling:
    """A vocabulary by its trigrams; the beginning and the end of a word count as characters."""

    def __init__(self, vocabulary: Collection[str]) -> None:
        self._words = list(vocabulary)
        self._sizes = array("i")
        self._with: dict[str, array[int]] = {}
        self._found: dict[str, tuple[tuple[str, float], ...]] = {}
        for nth, word in enumerate(self._words):
            grams = _trigrams(word)
            self._sizes.append(len(grams))
            for gram in grams:
                self._with.setdefault(gram, array("i")).append(nth)

    def similar(self, word: str) -> tuple[tuple[str, float], ...]:
        """The words of the vocabulary that are spelled like this one, each with how similar it is, 1 at most."""
        if word.isdigit() or not SHORTEST <= len(word) <= LONGEST:
            return ()
        found = self._found.get(word)
        if found is None:
            grams = _trigrams(word)
            shared: Counter[int] = Counter()
            for gram in grams:
                shared.update(self._with.get(gram, ()))
            cosines = ((self._words[n], both / math.sqrt(len(grams) * self._sizes[n])) for n, both in shared.items())
            found = tuple((other, cosine) for other, cosine in cosines if cosine >= SIMILAR)
            if len(self._found) >= REMEMBERED_WORDS:
                self._found.clear()
            self._found[word] = found
        return found


def _trigrams(word: str) -> set[str]:
    marked = f"<{word}>"
    return {marked[i : i + 3] for i in range(len(marked) - 2)}
