"""A component that misbehaves in every way harms one turn at most: the error names it, and the next turn works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
from attrs import define, field

from tests.runtime.stage import Says, Spy, Stage, call
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.runtime.delivery import storing
from victor_dsl.values.event import Event
from victor_dsl.values.history import Choice, History
from victor_dsl.values.message import Message, Reply, ToolCall
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Layer
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Handler, Turn

RAISED: dict[str, Callable[[], BaseException]] = {
    "CancelledError": asyncio.CancelledError,
    "TimeoutError": TimeoutError,
    "BaseExceptionGroup": lambda: BaseExceptionGroup("several", [SystemExit(7)]),
    "SystemExit": lambda: SystemExit(7),
    "KeyError": lambda: KeyError("the prompt is secret"),
}
SPEC = """
models: {main: {type: given}}
providers: [given]
contributors: [given]
tools: [{type: given}]
tool_selection: {type: given}
compaction: {type: given, threshold: 0, deadline_seconds: 0.05}
middleware:
- {type: given, name: outer}
- {type: given, name: model, around: model}
- {type: given, name: tool, around: tool}
exporters: [{type: given, batch_size: 1}]
sessions: given
databases: {given: {type: given}}
embedders: {given: {type: given}}
"""


@define
class Chaos:
    """Live objects of every kind in one; `where` says which method raises, hangs or answers twice, once each time."""

    where: str = ""
    act: Callable[[], BaseException] | str = "fine"
    log: list[str] = field(factory=list)

    async def at(self, where: str) -> int:
        """How often the method does its work."""
        self.log.append(where)
        if where != self.where:
            return 1
        self.where = ""
        if self.act == "twice":
            return 2
        if self.act == "hang":
            await asyncio.Event().wait()
        assert callable(self.act)
        raise self.act()

    def build(self, config: Any, context: Context) -> Part:
        if self.where == f"{context.node} build":
            assert callable(self.act)
            raise self.act()
        return Part(self, context.node)


@define
class Part:
    """One node's object."""

    chaos: Chaos
    node: str
    dialect = "sqlite"
    kept: list[Message] = field(factory=list)
    exported: list[Event] = field(factory=list)

    async def __aenter__(self) -> Self:
        await self.chaos.at(f"{self.node} enter")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.chaos.at(f"{self.node} exit")

    async def answer(self, turn: Turn) -> Reply:
        await self.chaos.at(f"{self.node} answer")
        done = any(message.role == "tool" for message in turn.messages[-1:])
        calls = () if done else (ToolCall("c1", "look", "{}"),)
        return Reply(Message("assistant", "done" if done else None, calls))

    async def read(self, turn: Turn) -> Layer:
        await self.chaos.at(f"{self.node} read")
        return Layer("given", {}, {})

    async def contribute(self, turn: Turn) -> str:
        await self.chaos.at(f"{self.node} contribute")
        return "piece"

    async def tools(self) -> Sequence[Tool]:
        await self.chaos.at(f"{self.node} tools")
        return [Tool("look", source=self.node)]

    async def call(self, call: ToolCall, turn: Turn) -> str:
        await self.chaos.at(f"{self.node} call")
        return "seen"

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        return [*tools] * await self.chaos.at(f"{self.node} select")

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        await self.chaos.at(f"{self.node} choose")
        return Choice(frozenset())

    def wrap(self, handler: Handler) -> Handler:
        async def wrapped(turn: Turn) -> Reply:
            for _ in range(await self.chaos.at(f"{self.node} before") - 1):
                await handler(turn)
            reply = await handler(turn)
            await self.chaos.at(f"{self.node} after")
            return reply

        return wrapped

    async def export(self, events: Sequence[Event]) -> None:
        for _ in range(await self.chaos.at(f"{self.node} export")):
            self.exported += events

    async def embed(self, texts: Sequence[str]) -> Any:
        """Nobody calls it here: what an embedder raises is an error of the component that uses it."""

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        await self.chaos.at(f"{self.node} load")
        return tuple(self.kept)

    async def append(self, tenant: Any, session: Any, turn_id: Any, messages: Sequence[Message]) -> None:
        await self.chaos.at(f"{self.node} append")
        self.kept += messages


FAILS = {
    "models/main answer": "models/main",
    "contributors/given contribute": "contributors/given",
    "tools/given tools": "tools/given",
    "middleware/outer before": "middleware/outer",
    "middleware/outer after": "middleware/outer",
    "middleware/model before": "middleware/model",
    "middleware/model after": "middleware/model",
    "middleware/tool before": "middleware/tool",
    "middleware/tool after": "middleware/tool",
    "sessions/given load": "sessions/given",
    "sessions/given append": "sessions/given",
}
"""The methods whose fault ends the turn, and the node that the error names."""
GOES_ON = (
    "providers/given read",
    "tools/given call",
    "tool_selection/given select",
    "compaction/given choose",
    "exporters/given export",
)
"""The methods that something stands in for."""
NODES = (
    *("models/main", "providers/given", "contributors/given", "tools/given", "tool_selection/given"),
    *("compaction/given", "middleware/outer", "exporters/given", "sessions/given"),
    *("databases/given", "embedders/given"),
)


@pytest.fixture
def chaos() -> Chaos:
    return Chaos()


@pytest.fixture
def stage(tmp_path: Path, chaos: Chaos) -> Stage:
    names = (*NODES, "middleware/model", "middleware/tool")
    return Stage(tmp_path, dict.fromkeys(names, chaos.build))


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "victor_dsl")


async def answers(stage: Stage, chaos: Chaos, where: str, act: Any) -> tuple[Reply, Reply]:
    """A turn in which a method misbehaves, and the next one."""
    async with stage.orchestrator(SPEC) as orchestrator:
        assert (await orchestrator.answer(Request(message="a", session="s"))).error is None
        chaos.log.clear()
        chaos.where, chaos.act = where, act
        one = await orchestrator.answer(Request(message="a", session="s"))
        other = await orchestrator.answer(Request(message="b", session="s"))
    assert where in chaos.log
    assert len(orchestrator._nodes) == 0
    return one, other


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("where", FAILS)
async def test_what_a_component_raises_is_an_error_that_names_it(
    stage: Stage, chaos: Chaos, where: str, raised: str
) -> None:
    one, other = await answers(stage, chaos, where, RAISED[raised])
    assert one.error is not None
    assert one.error.node == FAILS[where]
    assert (one.text, other.text, other.error) == ("", "done", None)


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("where", GOES_ON)
async def test_a_turn_goes_on_where_something_stands_in(stage: Stage, chaos: Chaos, where: str, raised: str) -> None:
    one, other = await answers(stage, chaos, where, RAISED[raised])
    assert [answer.text for answer in (one, other)] == ["done", "done"]
    assert [answer.error for answer in (one, other)] == [None, None]


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("step", ["build", "enter"])
@pytest.mark.parametrize("node", NODES)
async def test_what_is_raised_while_opening_names_the_node_and_leaves_nothing_open(
    stage: Stage, chaos: Chaos, node: str, step: str, raised: str
) -> None:
    chaos.where, chaos.act = f"{node} {step}", RAISED[raised]
    spec = SPEC.replace("batch_size: 1}", "batch_size: 1, required: true}")
    orchestrator = stage.orchestrator(spec)
    with pytest.raises(ComponentError, match=raised) as failure:
        async with orchestrator:
            pass
    assert failure.value.node == node
    assert len(orchestrator._nodes) == 0
    chaos.where = ""
    async with stage.orchestrator(SPEC) as again:
        assert (await again.answer(Request(message="a"))).text == "done"


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("step", ["build", "enter"])
async def test_a_turn_goes_on_without_an_exporter_that_cannot_be_opened(
    stage: Stage, chaos: Chaos, step: str, raised: str
) -> None:
    chaos.where, chaos.act = f"exporters/given {step}", RAISED[raised]
    async with stage.orchestrator(SPEC) as orchestrator:
        assert (await orchestrator.answer(Request(message="a"))).text == "done"
        chaos.where = ""


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("node", NODES)
async def test_what_is_raised_while_closing_keeps_nothing_open(
    stage: Stage, chaos: Chaos, node: str, raised: str
) -> None:
    async with stage.orchestrator(SPEC) as orchestrator:
        chaos.where, chaos.act = f"{node} exit", RAISED[raised]
    assert f"{node} exit" in chaos.log
    assert len(orchestrator._nodes) == 0


@pytest.mark.parametrize("where", ["tools/given call", "compaction/given choose", "exporters/given export"])
async def test_what_hangs_is_given_up_where_there_is_a_limit(
    stage: Stage, chaos: Chaos, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "EXPORT_SECONDS", 0.05)
    monkeypatch.setattr(
        "tests.components.test_chaos.SPEC", SPEC.replace("[{type: given}]", "[{type: given, timeout_seconds: 0.05}]")
    )
    one, other = await answers(stage, chaos, where, "hang")
    assert [one.text, other.text] == ["done", "done"]


@pytest.mark.parametrize(
    "where",
    ["middleware/outer before", "middleware/model before", "middleware/tool before", "tool_selection/given select"],
)
async def test_what_answers_twice_leaves_one_exchange_in_the_session(stage: Stage, chaos: Chaos, where: str) -> None:
    async with stage.orchestrator(SPEC) as orchestrator:
        chaos.where, chaos.act = where, "twice"
        assert (await orchestrator.answer(Request(message="a", session="s"))).text == "done"
        rendered = await orchestrator.render(Request(message="b", session="s"))
    assert [one.message.role for one in rendered.explained] == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize("raised", RAISED)
async def test_events_that_were_not_stored_are_stored_again(stage: Stage, raised: str) -> None:
    class Fails(Spy):
        left = 1

        async def export(self, events: Sequence[Event]) -> None:
            if self.left:
                self.left -= 1
                error = RAISED[raised]()
                raise error
            await super().export(events)

    spy = stage.objects["exporters/given"] = Fails()
    stage.objects["models/main"] = Says(["x"])
    spec = SPEC.replace("batch_size: 1", "batch_size: 2")
    async with stage.orchestrator(spec) as orchestrator:
        for n in range(10):
            await orchestrator.answer(Request(message=str(n)))
    assert len(spy.of("turn")) == 10


async def test_a_turn_that_is_cancelled_is_cancelled(stage: Stage, chaos: Chaos) -> None:
    chaos.where, chaos.act = "models/main answer", "hang"
    async with stage.orchestrator(SPEC) as orchestrator:
        turn = asyncio.create_task(orchestrator.answer(Request(message="a")))
        while chaos.where:
            await asyncio.sleep(0)
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn


async def test_tools_that_are_called_side_by_side_fail_one_by_one(stage: Stage, chaos: Chaos) -> None:
    model = stage.objects["models/main"] = Says([[call("look", id="c1"), call("look", id="c2")], "done"])
    chaos.where, chaos.act = "tools/given call", asyncio.CancelledError
    async with stage.orchestrator(SPEC) as orchestrator:
        assert (await orchestrator.answer(Request(message="a"))).text == "done"
    results = [message.text() for message in model.turns[1].messages if message.role == "tool"]
    assert sorted(results) == ["Error: the tool 'look' failed: CancelledError", "seen"]
