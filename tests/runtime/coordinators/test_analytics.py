"""Events: what is in them, what is not, and their ids."""

from __future__ import annotations

import asyncio
import hmac
import json
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.runtime.stage import HandClock, Says, Spy, Stage, Toolbox, call
from victor_dsl.errors import ModelError
from victor_dsl.language.output_schema import event_schema
from victor_dsl.runtime.coordinators import analytics
from victor_dsl.runtime.coordinators.analytics import AnalyticsCoordinator, event_ids
from victor_dsl.values.event import Event, EventType, uuid7
from victor_dsl.values.message import Message, Reply, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Trace

TURN_IDS = st.text() | st.builds(
    lambda ms, noise: uuid7(ms / 1000, noise), st.integers(0, 2**42), st.binary(min_size=10, max_size=10)
)


@given(TURN_IDS, st.integers(0, 99_999))
def test_an_events_id_is_a_uuid7_that_follows_from_the_turn_alone(turn_id: str, number: int) -> None:
    id = event_ids(turn_id)("turn", number)
    assert uuid.UUID(id).version == 7
    assert uuid.UUID(id).variant == uuid.RFC_4122
    assert id == event_ids(turn_id)("turn", number)


@given(TURN_IDS)
def test_no_two_events_of_a_turn_have_one_id(turn_id: str) -> None:
    id_of = event_ids(turn_id)
    assert len({id_of(type, number) for type in get_args(EventType) for number in range(600)}) == 9 * 600


@given(st.integers(0, 2**42))
def test_an_events_id_has_the_time_of_its_turn(milliseconds: int) -> None:
    turn_id = uuid7(milliseconds / 1000, b"0123456789")
    assert event_ids(turn_id)("turn", 0)[:13] == turn_id[:13]


def test_the_events_of_two_turns_of_one_millisecond_differ() -> None:
    one, other = uuid7(1.0), uuid7(1.0)
    assert event_ids(one)("turn", 0) != event_ids(other)("turn", 0)


async def test_a_turn_is_told_whole_and_without_contents(stage: Stage) -> None:
    async def look(vars: object) -> str:
        return "TOP-SECRET-RESULT"

    spy = Spy()
    stage.objects |= {
        "models/main": Says([[call("look", '{"a": "TOP-SECRET-ARGUMENT"}')], "TOP-SECRET-ANSWER"]),
        "tools/given": Toolbox({"look": look}),
        "exporters/given": spy,
    }
    spec = """
    models: {main: {type: given}}
    tools: [given]
    exporters: [given]
    vars: {product: TOP-SECRET-VAR}
    contributors: [{type: text, text: TOP-SECRET-PROMPT}]
    """
    async with stage.orchestrator(spec) as orchestrator:
        answer = await orchestrator.answer(Request(message="TOP-SECRET-QUESTION", session="s", tenant="acme"))
    types = [event.type for event in spy.events]
    assert types == ["model_call", "token_usage", "tool_call", "model_call", "token_usage", "turn"]
    assert {(e.session, e.tenant, e.pipeline, e.plan) for e in spy.events} == {("s", "acme", "stage", answer.plan)}
    [turn] = spy.data("turn")
    assert turn | {"latency_ms": 0, "values": ""} == {
        "latency_ms": 0,
        "input_tokens": 20,
        "output_tokens": 10,
        "cached_tokens": None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "cost_usd": 1.0,
        "model": "main",
        "stop_reason": "stop",
        "outcome": "answered",
        "error": None,
        "values": "",
        "tools": {"type": "all", "candidates": 1, "offered": ["look"], "fallback": True, "used": ["look"]},
    }
    assert len(turn["values"]) == 16
    assert "TOP-SECRET" not in json.dumps([event.as_json() for event in spy.events])


async def test_an_error_event_does_not_quote_the_error(stage: Stage) -> None:
    spy = stage.objects["exporters/given"] = Spy()
    stage.objects["models/main"] = Says([ModelError("you said TOP-SECRET", kind="bad_request", status=400)])
    async with stage.orchestrator("models: {main: {type: given}}\nexporters: [given]") as orchestrator:
        await orchestrator.answer(Request(message="TOP-SECRET"))
    assert spy.data("error") == [{"code": "model-bad_request", "node": "models/main", "status": 400}]


def coordinator(into: list[Event]) -> AnalyticsCoordinator:
    return AnalyticsCoordinator("p", HandClock(), into.append)


EXPOSURES = [("tone", "s1", "warm"), ("tone", "s1", "plain"), ("tone", "s2", "warm"), ("other", "s1", "warm")]


def exposed(*exposures: tuple[str, str, str], pipeline: str = "p") -> list[str]:
    """The ids of the events that one process records."""
    events: list[Event] = []
    seen = AnalyticsCoordinator(pipeline, HandClock(), events.append)
    for exposure in exposures:
        seen.expose(Trace("s"), *exposure)
    for event in events:
        Draft202012Validator(event_schema()).validate(event.as_json())
    return [event.id for event in events]


def test_an_exposure_has_the_same_id_in_every_process_and_no_other_has_it() -> None:
    once = exposed(*EXPOSURES)
    assert exposed(*EXPOSURES, *EXPOSURES) == once
    assert exposed(*reversed(EXPOSURES)) == once[::-1]
    assert len({*once, *exposed(*EXPOSURES, pipeline="q")}) == 8


def test_the_memory_of_exposures_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(analytics, "EXPOSED", 3)
    seen = coordinator([])
    for number in range(8):
        seen.expose(Trace("s"), "many", str(number), "warm")
    assert len(seen._exposed) == 3


def test_a_report_is_made_once(monkeypatch: object) -> None:
    events: list[Event] = []
    reporting = coordinator(events)
    assert reporting.report("exporters/a", "full", {"code": "dropped"})
    assert not reporting.report("exporters/a", "full", {"code": "dropped"})
    assert reporting.report("exporters/b", "full", {})
    assert [event.data for event in events] == [
        {"code": "dropped", "node": "exporters/a", "message": "full"},
        {"code": "component", "node": "exporters/b", "message": "full"},
    ]


async def test_many_turns_at_once_keep_their_events_apart(stage: Stage) -> None:
    spy = stage.objects["exporters/given"] = Spy()
    async with stage.orchestrator("models: {main: {type: echo}}\nexporters: [given]") as orchestrator:
        await asyncio.gather(*(orchestrator.answer(Request(message="a", session=f"s{i}")) for i in range(20)))
    assert len({event.id for event in spy.events}) == len(spy.events) == 60
    assert sorted(event.session or "" for event in spy.of("turn")) == sorted(f"s{i}" for i in range(20))


async def test_the_sum_over_turns_is_the_bill_and_that_over_model_calls_too(stage: Stage) -> None:
    async def look(vars: object) -> str:
        return "found"

    stage.objects["tools/given"] = Toolbox({"look": look})
    usage = Usage(100, 20, 0.25, 60, 30, 15)
    first = Reply(Message("assistant", None, (call("look"),)), usage, "tool_calls")
    stage.objects["models/main"] = Says([first, Reply(Message("assistant", "done"), usage)])
    spy = stage.objects["exporters/given"] = Spy()
    spec = "models: {main: {type: given}}\ntools: [given]\nexporters: [given]"
    async with stage.orchestrator(spec) as orchestrator:
        answer = await orchestrator.answer(Request(message="go"))
    assert answer.usage == Usage(200, 40, 0.5, 120, 60, 30)
    priced = {type: sum(data["cost_usd"] for data in spy.data(type)) for type in ("turn", "model_call")}
    assert priced == {"turn": 0.5, "model_call": 0.5}
    assert {event.type for event in spy.events if "cost_usd" in event.data} == {"turn", "model_call"}
    for type in ("model_call", "token_usage"):
        assert [data["reasoning_tokens"] for data in spy.data(type)] == [15, 15]


KEYED = """
models: {main: {type: given}}
databases: {app: {type: sqlite, path: app.db}}
exporters:
  - {type: sqlite, database: app}
  - {type: jsonl, path: keyed.jsonl, user_key: "${env:USER_KEY}"}
  - {type: jsonl, name: plain, path: plain.jsonl, store_user: true}
"""


def users(path: Path) -> set[str | None]:
    return {json.loads(line)["user"] for line in path.read_text().splitlines()}


async def test_events_have_pseudonyms_of_users(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["a", "b", "c"])
    async with stage.orchestrator(KEYED, environment={"USER_KEY": "k"}) as orchestrator:
        for user in ("ann", "ann", "bob"):
            await orchestrator.answer(Request(message="a", user=user))
        await orchestrator.reload(orchestrator.program)
    assert users(stage.folder / "plain.jsonl") == {"ann", "bob", None}
    keyed = {hmac.new(b"k", user.encode(), "sha256").hexdigest() for user in ("ann", "bob")}
    assert users(stage.folder / "keyed.jsonl") == {*keyed, None}
    key = (stage.folder / ".victor" / "users.key").read_bytes()
    with closing(sqlite3.connect(stage.folder / "app.db")) as database:
        found = {user for (user,) in database.execute("SELECT user_id FROM analytics_events")}
    assert found == {*(hmac.new(key, user.encode(), "sha256").hexdigest() for user in ("ann", "bob")), None}


async def test_refusals_are_an_outcome_of_their_own(stage: Stage) -> None:
    spy = stage.objects["exporters/given"] = Spy()
    stage.objects["models/main"] = Says(["fine", ModelError("is away", kind="unreachable")])
    spec = """
    models: {main: {type: given}}
    middleware: [{type: rate_limit, requests_per_minute: 2, per: tenant}]
    exporters: [given]
    """
    async with stage.orchestrator(spec) as orchestrator:
        for _ in range(3):
            await orchestrator.answer(Request(message="a", tenant="acme"))
    assert [(one["outcome"], one["error"]) for one in spy.data("turn")] == [
        ("answered", None),
        ("failed", "model-unreachable"),
        ("refused", "limit-reached"),
    ]
