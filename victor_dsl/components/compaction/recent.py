"""Compaction that keeps the newest messages."""

from __future__ import annotations

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.language.kinds import Compaction


class Config(CompactionConfig):
    """Keeps the newest messages that fit the token budget.

    The oldest go first, some more than needed at a time, so that the kept part starts at the same message for
    many turns and prompt caches hold.
    """


EXAMPLE = "{type: recent, threshold: 0.8, target_ratio: 0.5}"


def build(config: Config, context: Context) -> Compaction:
    """The strategy; it has no state."""
    from victor_dsl.components.compaction._newest import Newest
    from victor_dsl.values.history import newest

    return Newest(newest)
