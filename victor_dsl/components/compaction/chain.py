"""Compaction in steps: each strategy works on what the one before it kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from attrs import frozen
from pydantic import Field

from victor_dsl.components.newest_groups import tokens_of
from victor_dsl.errors import ComponentError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig, Nested
from victor_dsl.language.kinds import Compaction
from victor_dsl.lazy import Lazy
from victor_dsl.values.history import Before, Choice, History, summary_message
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")


class Config(CompactionConfig):
    """Compacts in steps: each gets what the steps before it kept, until the history fits.

    Every step removes an equal part of the surplus tokens, the last one the rest. A step with a `target_ratio` of its own
    keeps that share of what it gets instead, but never less than the budget of the whole chain. A step that fails or
    exceeds its deadline is skipped and the next one does its part; if the last one fails, the chain's fallback compacts.
    """

    steps: Annotated[list[str | dict[str, Any]], Nested("compaction", without=("threshold", "fallback"))] = Field(
        min_length=1,
        description="The steps, first to last: components of `compaction`. Of the fields that all of these share, a step may "
        "have `target_ratio` and `deadline_seconds`.",
        examples=[["keywords", "truncate"], [{"type": "semantic", "embedder": "words"}, "recent"]],
    )
    deadline_seconds: float = Field(
        30.0, gt=0, description="How long all steps together may take before the fallback compacts instead."
    )


EXAMPLE = "{type: chain, steps: [{type: keywords, target_ratio: 0.7}, recent]}"


def build(config: Config, context: Context) -> Chain:
    """The strategy; its only state is that of its steps."""
    configs: list[Any] = [context.configs[str(id)] for id in config.steps]
    return Chain(
        [
            Step(str(id), context.live(str(id)), step.target_ratio, step.deadline_seconds)
            for id, step in zip(config.steps, configs, strict=True)
        ]
    )


@frozen
class Step:
    """One strategy. `target_ratio`, if it has its own, is the share of the tokens it gets that it keeps."""

    node: str
    strategy: Compaction
    target_ratio: float | None
    deadline_s: float

    def aim(self, tokens: int, budget: int, steps_left: int) -> int:
        """How many of these tokens the step is to keep; the last step keeps no more than the budget."""
        if self.target_ratio is None:
            return tokens - (tokens - budget) // steps_left
        wanted = int(tokens * self.target_ratio)
        return min(wanted, budget) if steps_left == 1 else max(wanted, budget)


class Chain:
    """Runs its steps until the kept groups and the summaries of the dropped ones fit the budget."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        kept = frozenset(range(len(history.groups)))
        summaries: list[str] = []
        reasons: dict[int, str] = {}
        for number, step in enumerate(self._steps, 1):
            steps_left = len(self._steps) + 1 - number
            summary_tokens = _summary_tokens(summaries)
            tokens = tokens_of(history, kept) + summary_tokens
            if tokens <= budget:
                break
            aim = max(step.aim(tokens, budget, steps_left) - summary_tokens, history.fixed_tokens)
            try:
                choice = await _run(step, history, kept, aim, turn)
            except BaseException as error:
                if steps_left == 1 or not is_fault(error):
                    raise
                message = f"the step is skipped: {describe(error)}"
                turn.record("error", ComponentError(message, node=step.node).to_dict())
                continue
            kept = choice.groups
            summaries += [choice.summary] if choice.summary else []
            reasons.update({position: f"step {number}: {reason}" for position, reason in choice.reasons.items()})
        return Choice(kept, "\n\n".join(summaries) or None, reasons)


async def _run(step: Step, history: History, kept: frozenset[int], aim: int, turn: Turn) -> Choice:
    """The step's choice among the groups kept so far, in positions of the whole history.

    Raises ComponentError if the step is late, or its choice costs more than its aim.
    """
    positions = sorted(kept)
    remaining = History(
        history.messages, tuple(history.groups[position] for position in positions), _before(history, positions)
    )
    deadline = asyncio.timeout(step.deadline_s)
    try:
        async with deadline:
            choice = await step.strategy.choose(remaining, aim, turn)
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise ComponentError(f"it took longer than {step.deadline_s:g} s", node=step.node) from error
    if any(not 0 <= place < len(positions) for place in choice.groups):
        message = f"it chose a group that does not exist; there are {len(positions)}"
        raise ComponentError(message, node=step.node)
    fixed = {place for place, group in enumerate(remaining.groups) if group.fixed}
    groups = frozenset(positions[place] for place in choice.groups | fixed)
    tokens = tokens_of(history, groups) + _summary_tokens([choice.summary] if choice.summary else [])
    if tokens > aim:
        raise ComponentError(f"its choice has {tokens} tokens; the step's budget is {aim}", node=step.node)
    reasons = {positions[place]: reason for place, reason in choice.reasons.items() if place < len(positions)}
    return Choice(groups, choice.summary, reasons)


def _summary_tokens(summaries: Sequence[str]) -> int:
    return summary_message("\n\n".join(summaries)).tokens if summaries else 0


def _before(history: History, positions: Sequence[int]) -> Before | None:
    """What the last compaction kept, by the positions that its groups have for the step."""
    if (before := history.before) is None:
        return None
    kept = frozenset(place for place, position in enumerate(positions) if position in before.kept)
    return Before(kept, sum(position < before.seen for position in positions))
