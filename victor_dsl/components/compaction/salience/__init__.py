"""Compaction that keeps what is worth most for its tokens: facts, identifiers, and what the latest message asks for.

`lexicon` turns texts into numbered tokens, `reading` a history into arrays of them, `measures` says what each group of
messages contains, `worth` weighs that and fills the room, and `strategy` puts these together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.lazy import Lazy
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio

    from victor_dsl.components.compaction.salience import strategy
else:
    asyncio = Lazy("asyncio")
    strategy = Lazy("victor_dsl.components.compaction.salience.strategy")


class Config(CompactionConfig):
    """Keeps the messages that are worth most for their tokens. The default if `compaction` has no `type`.

    In a chat those are the messages that tell something: news, names, times and amounts, answers rather than questions; and
    if the latest message asks something, the messages about it. In an agent's work they are the messages that together
    name the most identifiers (paths, ids, dates, symbols), each counted once. The words of a history decide how much it is of
    either. No model and no embedder is needed; the work grows in proportion to the history, and each message is read once.
    """

    recent: float = Field(
        0.05, ge=0, le=1, description="The share of the room for the newest messages, whatever they contain."
    )


EXAMPLE = "{type: salience, threshold: 0.8, target_ratio: 0.5}"


def build(config: Config, context: Context) -> SalienceOnDemand:
    """The strategy; it remembers what it has read."""
    return SalienceOnDemand(config.recent)


class SalienceOnDemand:
    """Loads the strategy, and NumPy with it (0.1 s), when a history has to be compacted for the first time."""

    def __init__(self, recent: float) -> None:
        self._recent = recent
        self._loading = asyncio.Lock()
        self._strategy: strategy.Salience | None = None

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        if self._strategy is None:
            async with self._loading:
                if self._strategy is None:
                    self._strategy = await asyncio.to_thread(lambda: strategy.Salience(recent=self._recent))
        return await self._strategy.choose(history, budget, turn)
