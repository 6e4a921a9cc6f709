"""Strategies one after the other, each over what the one before it kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from attrs import frozen

from victor_dsl.components.compaction._newest import cost
from victor_dsl.errors import ComponentError
from victor_dsl.language.kinds import Compaction
from victor_dsl.values.history import Before, Choice, History, summary_message
from victor_dsl.values.turn import Turn


@frozen
class Step:
    """One strategy; `target_ratio` is the share of the tokens given to it that it keeps, where it has its own."""

    node: str
    strategy: Compaction
    target_ratio: float | None
    deadline_s: float

    def aim(self, tokens: int, budget: int, steps_left: int) -> int:
        """What this step is to keep of these tokens; the last one keeps no more than the budget."""
        if self.target_ratio is None:
            return tokens - (tokens - budget) // steps_left
        wanted = int(tokens * self.target_ratio)
        return min(wanted, budget) if steps_left == 1 else max(wanted, budget)


class Chain:
    """Runs its steps until what is kept fits the budget."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        kept = frozenset(range(len(history.groups)))
        summaries: list[str] = []
        reasons: dict[int, str] = {}
        for steps_left, step in zip(range(len(self._steps), 0, -1), self._steps, strict=True):
            said = _tokens(summaries)
            tokens = cost(history, kept) + said
            if tokens <= budget:
                break
            aim = max(step.aim(tokens, budget, steps_left) - said, history.fixed_tokens)
            try:
                kept, choice = await _taken(step, history, kept, aim, turn)
            except Exception as error:
                if steps_left == 1:
                    raise
                reason = str(error) or f"{type(error).__name__}"
                failure = ComponentError(f"the step is passed over: {reason}", node=step.node)
                turn.record("error", failure.as_json())
                continue
            summaries += [choice.summary] if choice.summary else []
            step_number = len(self._steps) + 1 - steps_left
            reasons.update({position: f"step {step_number}: {why}" for position, why in choice.reasons.items()})
        return Choice(kept, "\n\n".join(summaries) or None, reasons)


async def _taken(
    step: Step, history: History, kept: frozenset[int], aim: int, turn: Turn
) -> tuple[frozenset[int], Choice]:
    """What the step keeps of the groups kept so far, and its choice. Raises ComponentError where that costs more than its aim."""
    positions = sorted(kept)
    left = History(
        history.messages, tuple(history.groups[position] for position in positions), _before(history, positions)
    )
    try:
        async with asyncio.timeout(step.deadline_s):
            choice = await step.strategy.choose(left, aim, turn)
    except TimeoutError as error:
        raise ComponentError(str(error) or f"it took longer than {step.deadline_s:g} s", node=step.node) from error
    if any(not 0 <= place < len(positions) for place in choice.groups):
        raise ComponentError(f"it kept a group that is not there; there are {len(positions)}", node=step.node)
    fixed = {place for place, group in enumerate(left.groups) if group.fixed}
    chosen = frozenset(positions[place] for place in choice.groups | fixed)
    tokens = cost(history, chosen) + _tokens([choice.summary] if choice.summary else [])
    if tokens > aim:
        raise ComponentError(f"its choice costs {tokens} tokens; the step's budget is {aim}", node=step.node)
    reasons = {positions[place]: why for place, why in choice.reasons.items() if place < len(positions)}
    return chosen, Choice(chosen, choice.summary, reasons)


def _tokens(summaries: Sequence[str]) -> int:
    return summary_message("\n\n".join(summaries)).tokens if summaries else 0


def _before(history: History, positions: Sequence[int]) -> Before | None:
    """What was kept before, by the positions that the groups have for the step."""
    if (before := history.before) is None:
        return None
    kept = frozenset(place for place, position in enumerate(positions) if position in before.kept)
    return Before(kept, sum(position < before.seen for position in positions))
