"""Compaction that keeps the newest messages, and older ones that hold words which matter."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig
from victor_dsl.language.kinds import Compaction

WORDS = (
    *("must", "never", "always", "important", "remember", "required", "requirement", "constraint", "prefer"),
    *("decided", "decision", "agreed", "plan", "goal", "deadline", "because", "instead"),
    *("error", "exception", "failed", "failure", "bug", "fix", "fixed", "broken", "workaround", "warning"),
    *("todo", "fixme", "blocker", "security", "password", "name", "address", "date", "allergic"),
)


class Config(CompactionConfig):
    """Keeps the newest messages, and of the older ones those with the most important words in them.

    Words are matched whole, whatever their case: `fix` is not found in `prefix`. In scripts that do not separate words
    (Chinese, Japanese, Thai) a word is found wherever it stands. Room that is left is given to the next newest.
    """

    words: list[Annotated[str, Field(min_length=1)]] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None,
        description="The words or phrases that matter, as a list, or as a map to their weights (in a list each weighs 1). "
        "Left out, words of decisions, constraints and failures.",
        examples=[["refund", "order number"], {"deadline": 3, "budget": 2}],
    )
    recent: float = Field(
        0.5, ge=0, le=1, description="The share of the room that the newest messages take, whatever they say."
    )
    oldest: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How much the words of the oldest message weigh beside those of the newest; between the two the "
        "weight grows evenly.",
    )


EXAMPLE = "{type: keywords, words: {deadline: 3, budget: 2}, recent: 0.5}"


def build(config: Config, context: Context) -> Compaction:
    """The strategy; it has no state."""
    from victor_dsl.components.compaction._keywords import Keywords

    words = config.words if config.words is not None else list(WORDS)
    weights = words if isinstance(words, dict) else dict.fromkeys(words, 1.0)
    return Keywords(weights, recent=config.recent, oldest=config.oldest)
