"""Tool selection by meaning: the tools nearest to a request, as an embedder sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from victor_dsl.components.tool_selection._query import query_text
from victor_dsl.components.tool_selection._step import as_step
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.tool_selection._meaning import Meanings


class Config(ToolSelectionConfig):
    """Offers the `k` tools whose names, descriptions and parameters are nearest to the latest user message.

    A short message is read together with the few before it. Tools are embedded once, and the request in every turn. A
    request that is near to no tool finds nothing, so that the fallback selects.
    """

    embedder: Annotated[str, Ref("embedders")] = Field(description="What makes vectors; a name under `embedders`.")


EXAMPLE = "{type: semantic, embedder: words, k: 8}"


class Semantic:
    """Ranks tools by the cosine of their vectors with the request's."""

    def __init__(self, meanings: Meanings) -> None:
        self._meanings = meanings

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        text = query_text(turn)
        if not text:
            return ()
        scores = await self._meanings.similarities(tuple(tools), text)
        if not scores.any():
            return ()
        ranking = sorted(range(len(tools)), key=lambda position: -scores[position])
        return [tools[position] for position in ranking[: turn.settings.k]]


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, with nothing embedded yet."""
    from victor_dsl.components.tool_selection._meaning import Meanings

    return as_step(Semantic(Meanings(context.live(config.embedder))), config, context)
