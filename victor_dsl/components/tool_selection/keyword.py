"""Tool selection by the words that a request shares with a tool's name, description and parameters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from victor_dsl.components.tool_selection._lexical import Index
from victor_dsl.components.tool_selection._query import query
from victor_dsl.components.tool_selection._step import as_step
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

INDEXES_KEPT = 4
"""One catalogue is the usual; tenants' limits and requests' own tools make further ones."""

OFF_LOOP_TOOLS = 200
"""From so many tools on (10 to 20 ms of work) an index is built in a thread."""


class Config(ToolSelectionConfig):
    """Offers the `k` tools whose names, descriptions and parameters match the latest user message best (BM25).

    A short message is read together with the few before it. Tools that match nothing fill up the rest, in
    their order; where no tool matches at all, the fallback selects.
    """


EXAMPLE = "{type: keyword, k: 8}"


class Keyword:
    """Ranks tools by BM25. An index is built once for a catalogue; the latest few are kept.

    `in_thread` calls a function with arguments off the event loop (`asyncio.to_thread`).
    """

    def __init__(self, in_thread: Callable[..., Awaitable[Index]]) -> None:
        self._in_thread = in_thread
        self._indexes: list[Index] = []

    async def scores(self, tools: tuple[Tool, ...], query: Mapping[str, float]) -> dict[int, float]:
        """The BM25 score of each tool that shares a word with the query, by position."""
        return (await self._index(tools)).scores(query)

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        ranking = (await self._index(tuple(tools))).rank(query(turn))
        if not ranking:
            return ()
        found = set(ranking)
        ranking += [position for position in range(len(tools)) if position not in found]
        return [tools[position] for position in ranking[: turn.settings.k]]

    async def _index(self, tools: tuple[Tool, ...]) -> Index:
        # Comparing is quick for a catalogue seen before: equal tools are mostly the same objects.
        index = next((index for index in self._indexes if index.tools == tools), None)
        if index is None:
            index = Index(tools) if len(tools) < OFF_LOOP_TOOLS else await self._in_thread(Index, tools)
        others = [other for other in self._indexes if other is not index]
        self._indexes = [index, *others[: INDEXES_KEPT - 1]]
        return index


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, with no index yet."""
    import asyncio

    return as_step(Keyword(asyncio.to_thread), config, context)
