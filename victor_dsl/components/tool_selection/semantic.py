"""Tool selection by meaning: the tools nearest to a request, as an embedder sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from victor_dsl.components.ranking.catalogue import Parts
from victor_dsl.components.ranking.nested import nested
from victor_dsl.components.ranking.query import query_of
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.ranking.vectors import VectorRanking


class Config(ToolSelectionConfig):
    """Offers the `k` tools whose names, descriptions and parameters are nearest to the latest user message.

    A short message is read together with the few before it; in a message that asks for several things, each sentence also
    counts by itself. Tools are embedded once, and so is a request. The fallback selects where no tool is near, and while the
    embedder fails or is late.
    """

    embedder: Annotated[str, Ref("embedders")] = Field(
        description="The embedder that makes the vectors: a name under `embedders`."
    )
    deadline_seconds: float = Field(
        5.0, gt=0, description="How long the embedder may take in a turn before the fallback selects."
    )


EXAMPLE = "{type: semantic, embedder: words, k: 8}"


class Semantic:
    """Ranks tools by the cosine of their vectors with the request's."""

    ranks_all = True

    def __init__(self, vectors: VectorRanking) -> None:
        self._vectors = vectors
        self._parts = Parts()

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        query = query_of(turn)
        if not tools or not query.text:
            return ()
        near = await self._vectors.nearness(self._parts.of(tools, turn), query)
        return [tools[position] for position in near.rank({}, 1.0)[: turn.settings.k]]

    async def prepare(self, turns: Sequence[Turn]) -> None:
        """Embeds what these turns ask for, in one call of the embedder."""
        await self._vectors.prepare([query_of(turn) for turn in turns])


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy; it embeds a catalogue when it first meets it."""
    from victor_dsl.components.ranking.vectors import VectorRanking

    vectors = VectorRanking(context.live(config.embedder), config.deadline_seconds)
    return nested(Semantic(vectors), config, context)
