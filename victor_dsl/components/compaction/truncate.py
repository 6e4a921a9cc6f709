"""Compaction that drops the oldest messages, no more of them than necessary."""

from __future__ import annotations

from victor_dsl.components.newest_groups import NewestGroups, newest_within
from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig


class Config(CompactionConfig):
    """Drops the oldest messages first, and stops as soon as the rest fits the token budget.

    Whole messages are dropped, a tool call together with its results; no text is cut. While `recent` drops a few more at a
    time, this keeps as much as fits.
    """


EXAMPLE = "{type: truncate, target_ratio: 0.5}"


def build(config: Config, context: Context) -> NewestGroups:
    """The strategy; it has no state."""
    return NewestGroups(lambda history, budget: newest_within(history, budget - history.fixed_tokens))
