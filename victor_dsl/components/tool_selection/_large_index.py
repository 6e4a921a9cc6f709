"""The lexical index for catalogues of thousands of tools: the same scores, summed by numpy."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from victor_dsl.components.tool_selection._index import NAMED, Index
from victor_dsl.components.tool_selection._near_words import NearWords
from victor_dsl.components.tool_selection._query import Asked
from victor_dsl.components.tool_selection._rows import merged_rows

FINALISTS = 512
"""So many tools with the best scores are told; nobody offers more to a model."""


class LargeIndex(Index):
    """Gives the scores of the best tools only."""

    def scores(self, asked: Asked, among: Collection[int] | None = None) -> dict[int, float]:
        worth = np.zeros((1 + len(asked.clauses), len(self.tools)), dtype=np.float32)
        said = np.zeros_like(worth)
        for term, weight in asked.whole.words.items():
            rows = [0, *(row for row, clause in enumerate(asked.clauses, 1) if term in clause.words)]
            for factor, posting in self._matching({term: weight}):
                at, values = (
                    np.frombuffer(posting.positions, np.intc),
                    factor * np.frombuffer(posting.worth, np.float32),
                )
                for row in rows:
                    worth[row][at] += values
                if posting.named:
                    at, values = (
                        np.frombuffer(posting.named, np.intc),
                        factor * np.frombuffer(posting.shares, np.float32),
                    )
                    for row in rows:
                        said[row][at] += values
        worth *= 1 + NAMED * said
        if among is not None:
            others = np.ones(len(self.tools), dtype=np.bool_)
            others[np.fromiter(among, np.intp, len(among))] = False
            worth[:, others] = 0
        merged = merged_rows(worth)
        found = np.flatnonzero(merged)
        if len(found) > FINALISTS:
            found = found[np.argpartition(-merged[found], FINALISTS)[:FINALISTS]]
        return dict(zip(found.tolist(), merged[found].tolist(), strict=True))

    def _near_words(self, vocabulary: Collection[str]) -> NearWords:
        return _ManyWords(vocabulary)


class _ManyWords(NearWords):
    def _shared(self, places: Sequence[array[int]]) -> Mapping[int, int]:
        if not places:
            return {}
        shared = np.bincount(np.concatenate([np.frombuffer(each, np.intc) for each in places]))
        several = np.flatnonzero(shared > 1)
        return dict(zip(several.tolist(), shared[several].tolist(), strict=True))
