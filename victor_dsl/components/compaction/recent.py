"""Compaction that keeps the newest messages."""

from __future__ import annotations

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.values.history import Choice, History, newest
from victor_dsl.values.turn import Turn


class Config(CompactionConfig):
    """Keeps the newest messages that fit the token budget.

    The oldest go first, some more than needed at a time, so that the kept part starts at the same message for
    many turns and prompt caches hold.
    """


EXAMPLE = "{type: recent, threshold: 0.8, target_ratio: 0.5}"


class Recent:
    """Keeps the newest groups within the budget."""

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        return Choice(newest(history, budget))


def build(config: Config, context: Context) -> Recent:
    """The strategy; it has no state."""
    return Recent()
