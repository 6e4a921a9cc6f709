"""Compaction that keeps the newest messages."""

from __future__ import annotations

from victor_dsl.components.newest_groups import NewestGroups
from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.values.history import newest


class Config(CompactionConfig):
    """Keeps the newest messages that fit the token budget.

    The oldest are dropped first, a few more at a time than necessary: so the kept part begins at the same message for
    many turns also with `threshold: 0`, after a restart, and in other processes.
    """


EXAMPLE = "{type: recent, threshold: 0.8, target_ratio: 0.5}"


def build(config: Config, context: Context) -> NewestGroups:
    """The strategy; it has no state."""
    return NewestGroups(newest)
