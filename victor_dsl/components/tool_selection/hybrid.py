"""Tool selection by meaning and by words together, weighed by `alpha`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from victor_dsl.components.tool_selection._query import query, query_text
from victor_dsl.components.tool_selection._step import as_step
from victor_dsl.components.tool_selection.keyword import Keyword
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.tool_selection._meaning import Meanings

ALPHA = 0.5
"""The weight of meaning where neither the spec nor any layer of settings says it."""


class Config(ToolSelectionConfig):
    """Offers the `k` tools with the best of `alpha` x meaning + (1 - `alpha`) x words.

    Meaning is what `semantic` ranks by, words what `keyword` does; each is divided by the best tool's score, so that both
    count by their weights. With `alpha` 1 the order is that of `semantic`, with 0 that of `keyword`.
    """

    embedder: Annotated[str, Ref("embedders")] = Field(description="What makes vectors; a name under `embedders`.")
    alpha: float | None = Field(
        None, ge=0, le=1, description="The weight of meaning; the same as `settings.alpha`. Left out, 0.5."
    )


EXAMPLE = "{type: hybrid, embedder: words, alpha: 0.7, k: 8}"


class Hybrid:
    """Adds two scores. `alpha` is the item's own, where it stands within another strategy."""

    def __init__(self, meanings: Meanings, keyword: Keyword, alpha: float | None) -> None:
        self._meanings = meanings
        self._keyword = keyword
        self._alpha = alpha

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        alpha = self._alpha if self._alpha is not None else turn.settings.alpha
        alpha = ALPHA if alpha is None else alpha
        scores = [0.0] * len(tools)
        if alpha < 1:
            words = await self._keyword.scores(tuple(tools), query(turn))
            _add(scores, words, 1 - alpha)
        text = query_text(turn)
        if alpha > 0 and text:
            near = await self._meanings.similarities(tuple(tools), text)
            _add(scores, {position: float(score) for position, score in enumerate(near)}, alpha)
        if not any(scores):
            return ()
        ranking = sorted(range(len(tools)), key=lambda position: -scores[position])
        return [tools[position] for position in ranking[: turn.settings.k]]


def _add(scores: list[float], further: dict[int, float], weight: float) -> None:
    """Adds scores, the best of which counts `weight`."""
    best = max(further.values(), default=0.0)
    if best > 0:
        for position, score in further.items():
            scores[position] += weight * score / best


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, with nothing embedded or indexed yet."""
    import asyncio

    from victor_dsl.components.tool_selection._meaning import Meanings

    meanings = Meanings(context.live(config.embedder))
    return as_step(Hybrid(meanings, Keyword(asyncio.to_thread), config.alpha), config, context)
