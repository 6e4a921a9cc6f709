"""Tool selection by words, and by meaning where an embedder is given, weighed by `alpha`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from victor_dsl.components.tool_selection._query import asked
from victor_dsl.components.tool_selection._step import as_step, record_failure
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.tool_selection._by_words import ByWords
    from victor_dsl.components.tool_selection._meaning import Meanings


class Config(ToolSelectionConfig):
    """Offers the `k` tools with the best of `alpha` x meaning + (1 - `alpha`) x words; what is meant without a `type`.

    Words are what `keyword` ranks by, meaning what `semantic` does; each is divided by the best tool's score, so that both
    count by their weights. With `alpha` 1 the order is that of `semantic`, with 0, or without an embedder, that of `keyword`.
    While the embedder fails or is late, words alone select, and an `error` event says so.
    """

    embedder: Annotated[str | None, Ref("embedders")] = Field(
        None, description="What makes vectors; a name under `embedders`. Left out, words alone count."
    )
    alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The weight of meaning; the same as `settings.alpha`. Left out, each request has its own: the more, the "
        "farther the nearest tool stands out from the others (at most 2/3).",
    )
    deadline_seconds: float = Field(
        5.0, gt=0, description="How long the embedder may take in a turn before words alone select."
    )

    @model_validator(mode="after")
    def _weighs_something(self) -> Self:
        if self.alpha is not None and self.embedder is None:
            raise ValueError("'alpha' weighs meaning against words: give an 'embedder', too")
        return self


EXAMPLE = "{type: hybrid, embedder: words, k: 8}"


class Hybrid:
    """Adds two scores. `alpha` is the item's own, where it stands within another strategy."""

    def __init__(self, meanings: Meanings, by_words: ByWords, alpha: float | None, node: str) -> None:
        self._meanings = meanings
        self._by_words = by_words
        self._alpha = alpha
        self._node = node

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        alpha = self._alpha if self._alpha is not None else turn.settings.alpha
        request = asked(turn, self._by_words.words)
        if not tools or not request.whole.text or alpha == 0:
            return await self._by_words.select(tools, turn)
        part = self._by_words.parts.of(tools, turn)
        try:
            near = await self._meanings.nearness(part, request)
        except Exception as error:  # noqa: BLE001 -- whatever an embedder does, words stand in
            record_failure(error, self._node, turn)
            return await self._by_words.select(tools, turn)
        words = {} if alpha == 1 else await self._by_words.scores(part, request)
        ranking = near.rank(words, near.alpha if alpha is None else alpha)
        return [tools[position] for position in ranking[: turn.settings.k]]


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, with nothing embedded or indexed yet."""
    from victor_dsl.components.tool_selection._by_words import ByWords

    if config.embedder is None:
        return as_step(ByWords(), config, context)
    from victor_dsl.components.tool_selection._meaning import Meanings

    meanings = Meanings(context.live(config.embedder), config.deadline_seconds)
    return as_step(Hybrid(meanings, ByWords(), config.alpha, context.node), config, context)
