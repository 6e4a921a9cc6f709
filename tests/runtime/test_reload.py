"""Another program while turns run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Turn

SPEC = "models: {main: {type: given}}\nexporters: [given]\nsessions: given\nvars: {version: %s}\n"


class Counted:
    """A live object that counts how often it was opened and closed."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self.opened = 0
        self.closed = 0

    def __call__(self, config: Any, context: Context) -> Counted:
        return self

    async def __aenter__(self) -> Any:
        self.opened += 1
        return self.thing

    async def __aexit__(self, *_: object) -> None:
        self.closed += 1


class Store:
    def __init__(self) -> None:
        self.kept: dict[str, tuple[Message, ...]] = {}

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        return self.kept.get(session, ())

    async def append(self, tenant: str | None, session: str, turn_id: str, messages: Any) -> None:
        self.kept[session] = self.kept.get(session, ()) + tuple(messages)


@pytest.fixture
def counted(stage: Stage) -> dict[str, Counted]:
    async def version(turn: Turn) -> Reply:
        return Reply(Message("assistant", turn.vars["version"]))

    made = {
        "models/main": Counted(Says([version])),
        "exporters/given": Counted(Spy()),
        "sessions/given": Counted(Store()),
    }
    stage.objects |= made
    return made


async def test_new_turns_run_on_the_new_program_and_what_did_not_change_stays_open(
    stage: Stage, counted: dict[str, Counted]
) -> None:
    async with stage.orchestrator(SPEC % "one") as orchestrator:
        assert (await orchestrator.chat("a", session_id="s")).message.text() == "one"
        await orchestrator.reload(stage.program(SPEC % "two"))
        assert (await orchestrator.chat("a", session_id="s")).message.text() == "two"
        assert orchestrator.program.plan_for(None, {}).spec.vars == {"version": "two"}
    assert {(one.opened, one.closed) for one in counted.values()} == {(1, 1)}
    assert len(counted["sessions/given"].thing.kept["s"]) == 4


async def test_a_turn_in_flight_finishes_on_the_program_that_it_began_with(
    stage: Stage, counted: dict[str, Counted]
) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def slowly(turn: Turn) -> Reply:
        asked.set()
        await go.wait()
        return Reply(Message("assistant", turn.vars["version"]))

    counted["models/main"].thing = Says([slowly])
    async with stage.orchestrator(SPEC % "one") as orchestrator:
        before = asyncio.create_task(orchestrator.answer(Request(message="a", session="s")))
        await asked.wait()
        await orchestrator.reload(stage.program(SPEC % "two"))
        after = asyncio.create_task(orchestrator.answer(Request(message="b", session="s")))
        go.set()
        assert [(await before).text, (await after).text] == ["one", "two"]
        assert (await before).plan != (await after).plan


async def test_a_program_that_cannot_be_opened_leaves_the_old_one_running(
    stage: Stage, counted: dict[str, Counted]
) -> None:
    def fails(config: Any, context: Context) -> Any:
        raise RuntimeError("no such luck")

    stage.objects["contributors/given"] = fails
    async with stage.orchestrator(SPEC % "one") as orchestrator:
        with pytest.raises(ComponentError, match="no such luck"):
            await orchestrator.reload(stage.program(SPEC % "two" + "contributors: [given]\n"))
        assert (await orchestrator.chat("a", session_id="s")).message.text() == "one"
    spy = counted["exporters/given"].thing
    assert [event["ok"] for event in spy.data("reload")] == [False]


async def test_an_exporter_that_goes_is_given_its_events_first(stage: Stage, counted: dict[str, Counted]) -> None:
    async with stage.orchestrator(SPEC % "one") as orchestrator:
        await orchestrator.chat("a", session_id="s")
        await orchestrator.reload(stage.program((SPEC % "two").replace("exporters: [given]\n", "")))
        await orchestrator.chat("b", session_id="s")
    exporter = counted["exporters/given"]
    assert (exporter.opened, exporter.closed) == (1, 1)
    assert len(exporter.thing.of("turn")) == 1


async def test_a_hundred_reloads_under_load_fail_no_turn_and_leave_nothing_behind(
    stage: Stage, counted: dict[str, Counted]
) -> None:
    done = False
    answers = []

    async def load(session: str) -> None:
        while not done:
            answers.append(await orchestrator.answer(Request(message="a", session=session)))
            await asyncio.sleep(0)

    async with stage.orchestrator(SPEC % "v0") as orchestrator, asyncio.TaskGroup() as group:
        for i in range(8):
            group.create_task(load(f"s{i}"))
        for i in range(1, 101):
            await orchestrator.reload(stage.program(SPEC % f"v{i}"))
            await asyncio.sleep(0)
        done = True
    assert [answer.error for answer in answers if answer.error] == []
    assert len({answer.text for answer in answers}) > 50
    assert len(orchestrator._nodes) == 0
    assert {(one.opened, one.closed) for one in counted.values()} == {(1, 1)}
    turns = counted["exporters/given"].thing.of("turn")
    assert len(turns) == len({turn.id for turn in turns}) == len(answers)
