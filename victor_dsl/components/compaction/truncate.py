"""Compaction that drops the oldest messages, no more of them than it must."""

from __future__ import annotations

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.language.kinds import Compaction


class Config(CompactionConfig):
    """Drops the oldest messages first, and stops as soon as the rest fits the token budget.

    Whole messages go, a tool call with its results: no text is cut. `recent` drops some more at a time, so that what
    is left begins at the same message for many turns and prompt caches hold; this one keeps all that fits.
    """


EXAMPLE = "{type: truncate, target_ratio: 0.5}"


def build(config: Config, context: Context) -> Compaction:
    """The strategy; it has no state."""
    from victor_dsl.components.compaction._newest import Newest, newest_within

    return Newest(lambda history, budget: newest_within(history, budget - history.fixed_tokens))
