"""Strategies one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.components.tool_selection.selecting import asking, names, strategy, tool
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

TOOLS = (
    tool("read_dear", "Reads a file.", cost="high"),
    tool("read_cheap", "Reads a file.", cost="low"),
    tool("read_free", "Reads a file.", cost="free"),
    tool("write", "Writes a file.", cost="free"),
)


class Fails:
    """A strategy that raises."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error or OSError("no embedder")

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        raise self.error


class Nothing:
    """A strategy that finds nothing."""

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        return ()


def chain(*steps: Any) -> Any:
    needs = {f"tool_selection/chain.steps.{n}": step for n, step in enumerate(steps)}
    return strategy("chain", needs, steps=list(needs))


def step(type: str, needs: dict[str, Any] | None = None, **config: Any) -> Any:
    return strategy(type, needs, "tool_selection/chain.steps.0", **config)


async def test_each_step_narrows_the_selection_of_the_one_before() -> None:
    live = chain(step("cost", max_cost="low"), step("keyword", k=2))
    assert await names(live, TOOLS, asking("read")) == ["read_free", "read_cheap"]


async def test_equally_relevant_tools_come_cheapest_first() -> None:
    live = chain(step("cost"), step("keyword"))
    assert await names(live, TOOLS, asking("read")) == ["read_free", "read_cheap", "read_dear", "write"]
    assert await names(live, TOOLS, asking("write", k=1)) == ["write"]


async def test_the_k_of_the_turn_applies_only_at_the_end() -> None:
    live = chain(step("cost"), step("keyword"))
    assert await names(live, TOOLS, asking("write", k=1)) == ["write"], "cost alone would have cut it off"


async def test_a_step_that_fails_or_finds_nothing_is_skipped() -> None:
    events: list[tuple[str, Mapping[str, Any]]] = []
    turn = asking("write", k=1, record=lambda type, data: events.append((type, data)))
    assert await names(chain(Fails(), Nothing(), step("keyword")), TOOLS, turn) == ["write"]
    assert [(type, data["code"]) for type, data in events] == [("error", "component")]
    assert "no embedder" in events[0][1]["message"]
    assert await names(chain(Fails(), Nothing()), TOOLS, turn) == [], "then the chain's own fallback selects"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), BaseExceptionGroup("", [SystemExit()])])
async def test_whatever_a_step_raises_it_is_skipped(error: BaseException) -> None:
    needs = {"x": Fails(error)}
    steps = (Fails(error), step("domain", needs, fallback="x"), step("keyword"))
    assert await names(chain(*steps), TOOLS, asking("write", k=1, record=lambda type, data: None)) == ["write"]


async def test_a_cancelled_turn_is_cancelled() -> None:
    class Waits:
        async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
            await asyncio.Event().wait()
            return ()

    task = asyncio.create_task(names(chain(Waits(), step("keyword")), TOOLS, asking("write")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_step_may_have_its_own_fallback() -> None:
    needs = {"x": step("cost", max_cost="free")}
    for broken in ("quantum", "read"):
        live = chain(step("keyword", needs, fallback="x", k=1))
        expected = ["read_free"] if broken == "quantum" else ["read_dear"]
        assert await names(live, TOOLS, asking(broken)) == expected


async def test_a_chain_has_the_limits_of_its_steps() -> None:
    live = chain(step("cost", max_cost="low", k=1), step("cost", max_cost="free"), step("keyword"))
    assert [tool.name for tool in live.admit(TOOLS)] == ["read_free", "write"]
