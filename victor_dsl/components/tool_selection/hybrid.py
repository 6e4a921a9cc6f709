"""Tool selection by words, and with an embedder by meaning too, weighted by `alpha`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from victor_dsl.components.ranking.nested import nested, record_failure
from victor_dsl.components.ranking.query import query_of
from victor_dsl.language.boundary import is_fault
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.ranking.lexical import LexicalRanking
    from victor_dsl.components.ranking.vectors import VectorRanking


class Config(ToolSelectionConfig):
    """Offers the `k` tools with the greatest `alpha` x meaning + (1 - `alpha`) x words. This is the default type.

    The words' score is that of `keyword`, the meaning's that of `semantic`; each is divided by the best tool's score, so that
    both count by their weights. With `alpha` 1 the order is that of `semantic`; with 0, or without an embedder, that of `keyword`.
    While the embedder fails or is late, words alone select, and an `error` event is recorded.
    """

    embedder: Annotated[str | None, Ref("embedders")] = Field(
        None, description="The embedder that makes the vectors: a name under `embedders`. Left out, words alone count."
    )
    alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The weight of meaning; the same as `settings.alpha`. Left out, each request has its own: the farther the "
        "nearest tool stands out from the others, the greater (at most 2/3).",
    )
    deadline_seconds: float = Field(5.0, gt=0, description="The embedder's time limit; after it, words alone select.")

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if self.alpha is not None and self.embedder is None:
            raise ValueError("'alpha' weighs meaning against words, so it needs an 'embedder'")
        return self


EXAMPLE = "{type: hybrid, embedder: words, k: 8}"


class Hybrid:
    """Adds two scores. `alpha` is the item's own; without one the turn's settings decide."""

    ranks_all = True

    def __init__(self, vectors: VectorRanking, lexical: LexicalRanking, alpha: float | None, node: str) -> None:
        self._vectors = vectors
        self._lexical = lexical
        self._alpha = alpha
        self._node = node

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        alpha = self._alpha if self._alpha is not None else turn.settings.alpha
        part, query = self._lexical.read(tools, turn)
        if not tools or not query.text or alpha == 0:
            return await self._lexical.select(tools, turn)
        try:
            near = await self._vectors.nearness(part, query)
        except BaseException as error:
            if not is_fault(error):
                raise
            record_failure(error, self._node, turn)
            return await self._lexical.select(tools, turn)
        words = {} if alpha == 1 else await self._lexical.scores(part, query)
        ranking = near.rank(words, near.alpha if alpha is None else alpha)
        return [tools[position] for position in ranking[: turn.settings.k]]

    async def prepare(self, turns: Sequence[Turn]) -> None:
        """Embeds what these turns ask for, in one call of the embedder."""
        await self._vectors.prepare([query_of(turn) for turn in turns])


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy; it indexes and embeds a catalogue when it first meets it."""
    from victor_dsl.components.ranking.lexical import LexicalRanking

    if config.embedder is None:
        return nested(LexicalRanking(), config, context)
    from victor_dsl.components.ranking.vectors import VectorRanking

    vectors = VectorRanking(context.live(config.embedder), config.deadline_seconds)
    return nested(Hybrid(vectors, LexicalRanking(), config.alpha, context.node), config, context)
