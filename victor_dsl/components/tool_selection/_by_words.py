"""Tools scored by the words that they share with a request; a catalogue is indexed once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from victor_dsl.components.tool_selection._catalogue import LARGE, Latest, Part, Parts
from victor_dsl.components.tool_selection._index import Index, best_first
from victor_dsl.components.tool_selection._query import Asked, asked
from victor_dsl.components.tool_selection._words import Words
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

LARGE_KEPT, SMALL_KEPT = 4, 64
"""One catalogue is the usual; requests' own tools, tenants' limits and earlier strategies make further ones."""


class ByWords:
    """Ranks tools by BM25F. Of turns that meet a large catalogue at the same time, one indexes it."""

    def __init__(self) -> None:
        self.words = Words()
        self.parts = Parts()
        self._small: Latest[Index] = Latest(SMALL_KEPT)
        self._large: Latest[Index] = Latest(LARGE_KEPT)
        self._indexing = asyncio.Lock()
        self._off_loop = OffLoop()

    async def scores(self, part: Part, request: Asked) -> dict[int, float]:
        """The score of each tool that shares a word with the request, by position among the tools at hand."""
        index = await self._index(part.catalogue)
        if part.places is None:
            return index.scores(request)
        found = index.scores(request, part.places.keys())
        return {part.places[position]: score for position, score in found.items()}

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        """The best `k` tools; those that match nothing fill up the rest, in their order."""
        scores = await self.scores(self.parts.of(tools, turn), asked(turn, self.words))
        ranking = best_first(scores)
        k = len(tools) if turn.settings.k is None else min(turn.settings.k, len(tools))
        if ranking and len(ranking) < k:
            ranking += [position for position in range(len(tools)) if position not in scores]
        return [tools[position] for position in ranking[:k]]

    async def _index(self, tools: tuple[Tool, ...]) -> Index:
        if len(tools) < LARGE:
            return self._small.find(tools) or self._small.keep(tools, Index(tools, self.words))
        return self._large.find(tools) or await self._indexed(tools)

    async def _indexed(self, tools: tuple[Tool, ...]) -> Index:
        async with self._indexing:
            found = self._large.find(tools)
            if found is None:
                found = self._large.keep(tools, await self._off_loop.run(load(), tools, self.words))
            return found


def load() -> type[Index]:
    """The index for large catalogues. With few tools numpy is not needed, and importing it takes longer than a turn."""
    from victor_dsl.components.tool_selection._large_index import LargeIndex

    return LargeIndex
