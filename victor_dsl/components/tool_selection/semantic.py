"""Tool selection by meaning: the tools nearest to a request, as an embedder sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from victor_dsl.components.tool_selection._catalogue import Parts
from victor_dsl.components.tool_selection._query import asked
from victor_dsl.components.tool_selection._step import as_step
from victor_dsl.components.tool_selection._words import Words
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.tool_selection._meaning import Meanings


class Config(ToolSelectionConfig):
    """Offers the `k` tools whose names, descriptions and parameters are nearest to the latest user message.

    A short message is read together with the few before it; of a message that asks for several things, each sentence counts
    by itself, too. Tools are embedded once, and so is a request. A request that is near to no tool finds nothing, so that
    the fallback selects; and so it does while the embedder fails or is late.
    """

    embedder: Annotated[str, Ref("embedders")] = Field(description="What makes vectors; a name under `embedders`.")
    deadline_seconds: float = Field(
        5.0, gt=0, description="How long the embedder may take in a turn before the fallback selects."
    )


EXAMPLE = "{type: semantic, embedder: words, k: 8}"


class Semantic:
    """Ranks tools by the cosine of their vectors with the request's."""

    def __init__(self, meanings: Meanings) -> None:
        self._meanings = meanings
        self._words = Words()
        self._parts = Parts()

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        request = asked(turn, self._words)
        if not tools or not request.whole.text:
            return ()
        near = await self._meanings.nearness(self._parts.of(tools, turn), request)
        return [tools[position] for position in near.rank({}, 1.0)[: turn.settings.k]]


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, with nothing embedded yet."""
    from victor_dsl.components.tool_selection._meaning import Meanings

    meanings = Meanings(context.live(config.embedder), config.deadline_seconds)
    return as_step(Semantic(meanings), config, context)
