"""Compaction that drops the oldest messages, no more of them than it must."""

from __future__ import annotations

from victor_dsl.components.compaction._newest import newest_within
from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn


class Config(CompactionConfig):
    """Drops the oldest messages first, and stops as soon as the rest fits the token budget.

    Whole messages go, a tool call with its results: no text is cut. `recent` drops some more at a time, so that what
    is left begins at the same message for many turns and prompt caches hold; this one keeps all that fits.
    """


EXAMPLE = "{type: truncate, target_ratio: 0.5}"


class Truncate:
    """Keeps the newest groups, to the last token of the budget."""

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        return Choice(frozenset(newest_within(history, budget - history.fixed_tokens)))


def build(config: Config, context: Context) -> Truncate:
    """The strategy; it has no state."""
    return Truncate()
