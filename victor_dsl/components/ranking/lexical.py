"""Tools ranked by the words that they share with a query."""

from __future__ import annotations

from collections.abc import Sequence

from victor_dsl.components.ranking.bm25 import Index, best_first
from victor_dsl.components.ranking.catalogue import Part, Parts, PerCatalogue
from victor_dsl.components.ranking.query import Query, query_of
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn


class LexicalRanking:
    """Ranks tools by BM25F."""

    ranks_all = True

    def __init__(self) -> None:
        self._parts = Parts()
        self._indexes: PerCatalogue[Index] = PerCatalogue(Index)

    def read(self, tools: Sequence[Tool], turn: Turn) -> tuple[Part, Query]:
        """The tools as a part of their catalogue, and what the conversation asks for."""
        return self._parts.of(tools, turn), query_of(turn)

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        """The best `k` tools; those that match nothing fill up the rest, in their order."""
        scores = await self.scores(*self.read(tools, turn))
        ranking = best_first(scores)
        k = len(tools) if turn.settings.k is None else min(turn.settings.k, len(tools))
        if ranking and len(ranking) < k:
            ranking += [position for position in range(len(tools)) if position not in scores]
        return [tools[position] for position in ranking[:k]]

    async def scores(self, part: Part, query: Query) -> dict[int, float]:
        """The score of each tool that shares a word with the query, by position among the tools at hand."""
        index = await self._indexes.of(part.catalogue)
        if part.places is None:
            return index.scores(query)
        found = index.scores(query, part.places.keys())
        return {part.places[position]: score for position, score in found.items()}
