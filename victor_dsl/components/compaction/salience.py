"""Compaction that keeps what is worth most for its tokens: facts, identifiers, and what the latest message asks for."""

from __future__ import annotations

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.language.kinds import Compaction


class Config(CompactionConfig):
    """Keeps the messages that are worth most for their tokens; what is meant where `compaction` has no `type`.

    In a chat those are the messages that tell something: what is said for the first time, names, times and amounts, answers
    rather than questions; and where the latest message asks something, what is near to it. In an agent's work they are the
    ones that together name the most identifiers (paths, ids, dates, symbols), each counted once. Which of the two a history
    is, and how much of both, shows in its words. No model and no embedder is needed; the work grows in proportion to the
    history, and a message is read once.
    """

    recent: float = Field(
        0.05, ge=0, le=1, description="The share of the room that the newest messages take, whatever they say."
    )


EXAMPLE = "{type: salience, threshold: 0.8, target_ratio: 0.5}"


def build(config: Config, context: Context) -> Compaction:
    """The strategy; it remembers what it has read. NumPy is loaded only when a history is too long: it takes 0.1 s."""
    from victor_dsl.components.compaction._when_needed import WhenNeeded

    def load() -> Compaction:
        from victor_dsl.components.compaction._salience import Salience

        return Salience(recent=config.recent)

    return WhenNeeded(load)
