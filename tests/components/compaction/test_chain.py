"""Steps of a chain: each removes its share of what the one before it kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field, frozen

from tests.components.compaction.strategies import history, kept, strategy
from tests.components.context import surroundings
from victor_dsl.components.compaction import truncate
from victor_dsl.components.compaction.chain import Chain, Config, Step, build
from victor_dsl.components.newest_groups import NewestGroups
from victor_dsl.errors import ComponentError
from victor_dsl.values.history import Choice, History, newest
from victor_dsl.values.turn import Turn

TEXTS = [f"{n:02}{'.' * 34}" for n in range(40)]  # 13 tokens each
HISTORY = history(*TEXTS)


@define
class Oldest:
    """Keeps the oldest that fit; `budgets` are those it got."""

    budgets: list[tuple[int, int]] = field(factory=list)
    summary: str | None = None

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        self.budgets.append((history.tokens, budget))
        left = budget - history.fixed_tokens - (30 if self.summary else 0)
        groups = set()
        for position, group in enumerate(history.groups):
            if not group.fixed and group.tokens <= left:
                left -= group.tokens
                groups.add(position)
        return Choice(frozenset(groups), self.summary)


@frozen
class Gives:
    answer: Any

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer == "nothing, for ever":
            await asyncio.Event().wait()
        return self.answer  # type: ignore[no-any-return]


def step(live: Any, target_ratio: float | None = None, deadline_s: float = 5.0) -> Step:
    return Step("compaction/chain.steps.0", live, target_ratio, deadline_s)


def turn(events: list[Mapping[str, Any]] | None = None) -> Turn:
    return Turn("t", "s", (), record=lambda type, data: (events if events is not None else []).append(data))


async def test_each_step_removes_an_equal_part_of_the_surplus() -> None:
    first, second, third = Oldest(), Oldest(), Oldest()
    budget = 130
    choice = await Chain([step(first), step(second), step(third)]).choose(HISTORY, budget, turn())
    (total, a), (b, c), (d, e) = first.budgets[0], second.budgets[0], third.budgets[0]
    part = (total - budget) // 3
    assert a == total - part
    assert b <= a
    assert c == b - (b - budget) // 2
    assert d <= c
    assert e == budget
    assert kept(HISTORY, choice.groups) == TEXTS[: (budget - HISTORY.fixed_tokens) // 13]


async def test_a_steps_own_ratio_applies_to_what_it_gets_and_never_goes_below_the_budget() -> None:
    first, second = Oldest(), Oldest()
    await Chain([step(first, 0.75), step(second, 0.1)]).choose(HISTORY, 200, turn())
    assert first.budgets == [(HISTORY.tokens, int(HISTORY.tokens * 0.75))]
    assert second.budgets[0][1] < 200
    low = Oldest()
    await Chain([step(low, 0.1), step(Oldest())]).choose(HISTORY, 200, turn())
    assert low.budgets == [(HISTORY.tokens, 200)]


async def test_it_stops_when_the_history_fits() -> None:
    unused = Gives(AssertionError("it is not asked"))
    choice = await Chain([step(Gives(Choice(frozenset()))), step(unused)]).choose(HISTORY, 200, turn())
    assert kept(HISTORY, choice.groups) == []
    assert (await Chain([step(unused)]).choose(HISTORY, HISTORY.tokens, turn())).groups == set(range(42))


async def test_positions_of_a_later_step_are_those_of_the_whole_history() -> None:
    even = Gives(Choice(frozenset(range(0, 42, 2))))
    choice = await Chain([step(even, 0.6), step(NewestGroups(newest))]).choose(HISTORY, 160, turn())
    left = kept(HISTORY, choice.groups)
    assert left == [text for text in TEXTS[1::2] if text >= left[0]]


async def test_summaries_count_towards_the_budget_of_later_steps_and_are_joined() -> None:
    first, second, third = Oldest(summary="One."), Oldest(summary="Two."), Oldest()
    choice = await Chain([step(first), step(second), step(third)]).choose(HISTORY, 200, turn())
    assert choice.summary == "One.\n\nTwo."
    assert third.budgets[0][1] < 200


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (KeyError("embedder"), "'embedder'"),
        (asyncio.CancelledError(), "CancelledError"),
        (BaseExceptionGroup("two", [SystemExit(3)]), "two"),
        (TimeoutError("upstream"), "TimeoutError: upstream"),
        ("nothing, for ever", "it took longer than 0.01 s"),
        (Choice(frozenset({42})), "it chose a group that does not exist; there are 42"),
        (Choice(frozenset(range(42))), "the step's budget is"),
        (None, "has no attribute"),
    ],
)
async def test_a_step_that_fails_is_skipped_and_the_next_does_its_part(answer: Any, what: str) -> None:
    events: list[Mapping[str, Any]] = []
    chain = Chain([step(Gives(answer), deadline_s=0.01), step(NewestGroups(newest))])
    choice = await chain.choose(HISTORY, 200, turn(events))
    left = kept(HISTORY, choice.groups)
    assert left == TEXTS[-len(left) :]
    assert what in events[0]["message"]
    assert events[0]["message"].startswith("compaction/chain.steps.0: the step is skipped: ")


async def test_if_the_last_step_fails_the_chain_fails() -> None:
    with pytest.raises(ComponentError, match="gone"):
        await Chain([step(NewestGroups(newest)), step(Gives(ComponentError("gone")))]).choose(HISTORY, 100, turn())


async def test_its_steps_keep_their_own_ratio_and_deadline_from_the_spec() -> None:
    configs = {"a": truncate.Config(target_ratio=0.7, deadline_seconds=2.0), "b": truncate.Config()}
    context = surroundings(
        Path(), needs={"a": strategy("truncate"), "b": NewestGroups(newest)}, configs=configs
    ).context
    built: Any = build(Config(steps=["a", "b"]), context)
    assert [(s.node, s.target_ratio, s.deadline_s) for s in built._steps] == [("a", 0.7, 2.0), ("b", None, 5.0)]
