"""Tool selection that sends no definitions until the model searches for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from victor_dsl.components.ranking.nested import admitted, nested, prepare
from victor_dsl.language.component import Context
from victor_dsl.language.config import Nested, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn


class Config(ToolSelectionConfig):
    """Lets the model find tools when it needs them, so that the beginning of requests never changes.

    Where the model's provider can load tools late, as Anthropic's API and OpenAI's Responses API do, it searches. Any other model
    gets two small tools: `find_tools` returns the definitions of the `k` (by default 5) tools that match a query best, and
    `call_tool` calls one of them. All else sees the real tools: `limits.tools`, middleware around tools, events and replies.
    A tool that was not found in the session cannot be called.
    """

    search: Annotated[str | dict[str, Any] | None, Nested("tool_selection")] = Field(
        None,
        description="The selection that finds tools by a query: a word or a map, as under `tool_selection`. By default `keyword`.",
        examples=[{"type": "hybrid", "embedder": "words"}],
    )


EXAMPLE = "{type: deferred, k: 5, search: keyword}"


class Deferred:
    """Ranks by another strategy; the runtime defers the tools."""

    defers = True

    def __init__(self, search: ToolSelection) -> None:
        self._search = search

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        return await self._search.select(tools, turn)

    def admit(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """The tools within the limits of the search, if it has any."""
        return admitted(self._search, tools)

    async def prepare(self, turns: Sequence[Turn]) -> None:
        """Does the slow part of several searches at once."""
        await prepare(self._search, turns)


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, made of the search that the spec names."""
    from victor_dsl.components.ranking.lexical import LexicalRanking

    search = LexicalRanking() if config.search is None else context.live(str(config.search))
    return nested(Deferred(search), config, context)
