"""Compaction in steps: each goes on where the one before it stopped."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig, Nested
from victor_dsl.language.kinds import Compaction


class Config(CompactionConfig):
    """Compacts in steps: each is given what the steps before it kept, until the history fits.

    Every step takes off an equal part of the tokens that are too many, the last one the rest. A step with a
    `target_ratio` keeps that share of what it is given instead, though no less than the whole chain must. A step that fails
    or is late is passed over and the next one does its part; where the last fails, the chain's fallback compacts.
    """

    steps: Annotated[list[str | dict[str, Any]], Nested("compaction", without=("threshold", "fallback"))] = Field(
        min_length=1,
        description="The steps, first to last: components of `compaction`. Of the fields of all of these, a step may "
        "have `target_ratio` and `deadline_seconds`.",
        examples=[["keywords", "truncate"], [{"type": "semantic", "embedder": "words"}, "recent"]],
    )
    deadline_seconds: float = Field(
        30.0, gt=0, description="How long all steps together may take before the fallback does it."
    )


EXAMPLE = "{type: chain, steps: [{type: keywords, target_ratio: 0.7}, recent]}"


def build(config: Config, context: Context) -> Compaction:
    """The strategy; it has no state but that of its steps."""
    from victor_dsl.components.compaction._chain import Chain, Step

    configs: list[Any] = [context.configs[str(id)] for id in config.steps]
    return Chain(
        [
            Step(str(id), context.live(str(id)), step.target_ratio, step.deadline_seconds)
            for id, step in zip(config.steps, configs, strict=True)
        ]
    )
