"""One request from end to end: admission, arms, plan, lock, history, settings, onion, answer, events."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import evolve

from tests.runtime.stage import Gate, Notes, Piece, Says, Spy, Stage, Toolbox, call, settle
from victor_dsl.errors import EmitError, ModelError, Refused, RequestError, StoreError, ToolError, UsageError
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.event import uuid7
from victor_dsl.values.message import Delta, Message, Reply, ToolCall
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Handler, Turn

ECHO = "models: {main: {type: echo, context_window: 10000}}\n"
GIVEN = "models: {main: {type: given}}\n"
SPIED = "exporters: [given]\n"


def texts(messages: tuple[Message, ...]) -> list[str]:
    return [message.text() for message in messages]


async def test_a_chat_is_remembered_in_its_session(stage: Stage) -> None:
    model = stage.objects["models/main"] = Says(["one", "two"])
    async with stage.orchestrator(GIVEN) as orchestrator:
        assert (await orchestrator.chat("first", session_id="s")).message.text() == "one"
        await orchestrator.chat("second", session_id="s")
        await orchestrator.chat("elsewhere", session_id="other")
        await orchestrator.chat("of a tenant", session_id="s", tenant="acme")
    assert [texts(turn.messages) for turn in model.turns] == [
        ["first"],
        ["first", "one", "second"],
        ["elsewhere"],
        ["of a tenant"],
    ]


async def test_a_request_with_messages_is_the_whole_conversation_and_is_not_remembered(stage: Stage) -> None:
    model = stage.objects["models/main"] = Says(["answer"])
    said = (Message("system", "Be kind."), Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    async with stage.orchestrator(GIVEN + "contributors: [{type: text, text: Be brief.}]") as orchestrator:
        await orchestrator.answer(Request(session="s", messages=said))
        await orchestrator.chat("d", session_id="s")
    whole, later = model.turns
    assert texts(whole.messages) == ["a", "b", "c"]
    assert whole.system == "Be brief.\n\nBe kind."
    assert texts(later.messages) == ["d"]


async def test_a_request_without_a_session_stands_alone(stage: Stage) -> None:
    model = stage.objects["models/main"] = Says(["x"])
    async with stage.orchestrator(GIVEN) as orchestrator:
        await orchestrator.answer(Request(id="7", message="a"))
        again = await orchestrator.answer(Request(id="7", message="b"))
    assert [texts(turn.messages) for turn in model.turns] == [["a"], ["b"]]
    assert again.session == "7"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"message": 7}, "message must be text, not a number"),
        ({"message": b"x"}, "message must be text, not bytes"),
        (
            {"message": "x", "session": 7, "user": ["a"]},
            "session must be text, not a number; user must be text, not a list",
        ),
        ({"message": "x", "inputs": ["a"]}, "inputs must be a map, not a list"),
        ({"message": "x", "settings": [1]}, "settings must be a map, not a list"),
        ({"messages": "x"}, "messages must be a list, not text"),
        ({"messages": ({"role": "user"},)}, "messages[0] must be a victor_dsl.Message, not a map"),
        ({"messages": (Message("user", 7),)}, "messages[0].content must be text or a list of parts, not a number"),  # type: ignore[arg-type]
        ({"messages": (Message("user", ("x",)),)}, "messages[0].content: a part is a map such as"),  # type: ignore[arg-type]
        ({"message": "x", "tools": ({},)}, "tools[0] must be a victor_dsl.Tool, not a map"),
        ({"message": Message("user", "x")}, "message must be text, not a Message"),
        ({"messages": (Message("robot", "x"),)}, "messages[0].role must be one of system, user, assistant, tool"),  # type: ignore[arg-type]
        ({"message": "x", "vars": {1: "x"}}, "vars: the name 1 must be text"),
        ({"message": "x", "inputs": {None: "x"}}, "inputs: the name None must be text"),
        ({"message": "x", "settings": {1: "x"}}, "settings: the name 1 must be text"),
        ({"message": "x", "id": ["a"]}, "id must be text or a whole number, not a list"),
    ],
)
async def test_a_request_of_wrong_types_is_refused(stage: Stage, given: dict[str, Any], fault: str) -> None:
    stage.objects["models/main"] = Says(["fine"])
    async with stage.orchestrator(GIVEN) as orchestrator:
        answer = await orchestrator.answer(Request(**given))
        rendered = await orchestrator.render(Request(**given))
        assert (await orchestrator.answer(Request(message="x", inputs=None, vars=None))).error is None  # type: ignore[arg-type]
    for error in (answer.error, rendered.error):
        assert isinstance(error, RequestError)
        assert error.message.startswith(fault)


async def test_events_of_a_request_of_wrong_types_are_of_right_types(stage: Stage) -> None:
    """So no exporter fails at them: a database takes only text for a session."""
    spy = stage.objects["exporters/given"] = Spy()
    stage.objects["models/main"] = Says([])
    wrong: Any = {"session": 7, "tenant": ["a"], "user": 7, "turn_id": 7}
    async with stage.orchestrator(GIVEN + SPIED) as orchestrator:
        answer = await orchestrator.answer(Request(message="x", **wrong))
        await settle()
    assert isinstance(answer.error, RequestError)
    assert (answer.session, answer.tenant) == (answer.id, None)
    assert {event.type for event in spy.events} == {"error", "turn"}
    assert {(event.session, event.tenant) for event in spy.events} == {(answer.id, None)}
    assert all(isinstance(one, str) for event in spy.events for one in (event.session, event.id))


async def test_the_answer_is_the_reply_line_of_the_contract(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["fine"])
    async with stage.orchestrator(GIVEN) as orchestrator:
        answer = await orchestrator.answer(Request(id=3, session="s", tenant="acme", message="how?"))
        plan = orchestrator.program.plan_for("acme", {}).digest
    line = answer.to_dict()
    assert line.pop("latency_ms") > 0
    assert line == {
        "id": 3,
        "session": "s",
        "tenant": "acme",
        "reply": "fine",
        "stop_reason": "stop",
        "model": "main",
        "response_model": None,
        "variants": {},
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "cached_tokens": None,
            "cache_write_tokens": None,
            "reasoning_tokens": None,
            "cost_usd": 0.5,
        },
        "plan": plan,
        "error": None,
    }


async def test_an_error_is_told_in_the_answer_and_raised_by_chat(stage: Stage) -> None:
    stage.objects["models/main"] = Says([ModelError("no such model", kind="bad_request")])
    spy = stage.objects["exporters/given"] = Spy()
    async with stage.orchestrator(GIVEN + SPIED) as orchestrator:
        line = (await orchestrator.answer(Request(id=1, message="a"))).to_dict()
        with pytest.raises(ModelError, match="no such model"):
            await orchestrator.chat("a", session_id="s")
    assert line["error"] == {"code": "model-bad_request", "message": "models/main: no such model"}
    assert (line["reply"], line["stop_reason"]) == ("", "error")
    assert spy.data("error") == [{"code": "model-bad_request", "node": "models/main", "status": None}] * 2
    assert [data["stop_reason"] for data in spy.data("turn")] == ["error", "error"]


async def test_a_turn_that_fails_leaves_the_session_as_it_was(stage: Stage) -> None:
    model = stage.objects["models/main"] = Says([ModelError("down", kind="bad_request"), "fine"])
    async with stage.orchestrator(GIVEN) as orchestrator:
        await orchestrator.answer(Request(message="lost", session="s"))
        await orchestrator.chat("kept", session_id="s")
    assert texts(model.turns[1].messages) == ["kept"]


async def test_a_component_that_breaks_its_word_is_an_error_and_no_crash(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.objects["models/main"] = Says([KeyError("oops")])
    async with stage.orchestrator(GIVEN) as orchestrator:
        answer = await orchestrator.answer(Request(message="a"))
    assert answer.error is not None
    told = answer.error.to_dict()
    found = re.fullmatch("models/main: internal error ([0-9a-f]{8}); see the log", told["message"])
    assert found, "its text may quote a prompt, so that only the log has it"
    assert told["code"] == "component"
    assert f"internal error {found[1]} in models/main" in caplog.text
    assert "KeyError: 'oops'" in caplog.text


async def test_admission_runs_first_and_names_tenant_and_user(stage: Stage) -> None:
    class Auth:
        def wrap(self, handler: Handler) -> Handler:
            async def admit(turn: Turn) -> Reply:
                if turn.metadata.get("key") != "k":
                    raise Refused("who are you?", node="middleware/auth")
                return await handler(turn.replace(tenant="acme", user="ann"))

            return admit

    notes: list[str] = []
    model = stage.objects["models/main"] = Says(["x"])
    spec = (
        GIVEN
        + "middleware: [{type: given, name: outer}, {type: given, name: inner}]\ntenants: {acme: {with: {settings: {seed: 3}}}}"
    )
    stage.objects |= {"middleware/outer": Auth(), "middleware/inner": Notes("inner", notes)}
    program = stage.program(spec)
    orchestrator = Orchestrator(with_admission(program, "middleware/outer"), registry=stage.registry)
    async with orchestrator:
        refused = await orchestrator.answer(Request(message="a", tenant="other", session="s"))
        admitted = await orchestrator.answer(Request(message="a", tenant="other", session="s", metadata={"key": "k"}))
    assert refused.error is not None
    assert (refused.error.code, refused.plan) == ("refused", "")
    assert (admitted.tenant, notes) == ("acme", ["inner in", "inner out"])
    assert (model.turns[0].user, model.turns[0].settings.seed) == ("ann", 3)


def with_admission(program: Any, *ids: str) -> Any:
    """The program with some middleware moved into admission, as the compiler does up to `auth`."""

    def compile_plan(tenant: str | None, arms: Any) -> Any:
        plan = program.compile_plan(tenant, arms)
        inner = tuple(pair for pair in plan.roles.middleware if pair[0] not in ids)
        return evolve(plan, roles=evolve(plan.roles, admission=ids, middleware=inner))

    return evolve(program, compile_plan=compile_plan)


async def test_one_session_is_one_turn_at_a_time_and_two_are_not(stage: Stage) -> None:
    gate = Gate()

    async def wait(turn: Turn) -> str:
        await gate.pass_through()
        return f"to {turn.latest_user_text()}"

    model = stage.objects["models/main"] = Says([wait])
    async with stage.orchestrator(GIVEN) as orchestrator, asyncio.TaskGroup() as group:
        one = group.create_task(orchestrator.chat("one", session_id="s"))
        two = group.create_task(orchestrator.chat("two", session_id="s"))
        other = group.create_task(orchestrator.chat("other", session_id="t"))
        await settle()
        assert sorted(turn.latest_user_text() for turn in model.turns) == ["one", "other"]
        gate.opened.set()
    assert texts(model.turns[-1].messages) == ["one", "to one", "two"]
    assert [task.result().message.text() for task in (one, two, other)] == ["to one", "to two", "to other"]


async def test_every_session_turn_is_stored_whole_or_not_at_all(stage: Stage) -> None:
    class Full:
        async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
            return ()

        async def append(self, tenant: Any, session: Any, turn_id: Any, messages: Any) -> None:
            raise StoreError(".victor/sessions.db: no space left on device", node="sessions/given")

    stage.objects["sessions/given"] = Full()
    async with stage.orchestrator(ECHO + "sessions: given") as orchestrator:
        answer = await orchestrator.answer(Request(message="a", session="s"))
        whole = await orchestrator.answer(Request(message="a"))
    assert answer.error is not None
    assert "sessions.db: no space left" in str(answer.error)
    assert answer.text == ""
    assert whole.error is None


async def test_a_stream_gives_the_reply_in_pieces(stage: Stage) -> None:
    pieces: list[str] = []

    async def emit(delta: Delta) -> None:
        pieces.append(delta.text)

    async with stage.orchestrator(ECHO) as orchestrator:
        answer = await orchestrator.answer(Request(message="three little words"), emit)
    assert len(pieces) > 1
    assert "".join(pieces) == answer.text == "three little words"


async def test_a_stream_shows_a_tool_call_when_the_tool_begins_to_run_and_when_it_has_ended(stage: Stage) -> None:
    heard: list[Delta] = []

    async def emit(delta: Delta) -> None:
        heard.append(delta)

    async def before(vars: Mapping[str, Any]) -> str:
        assert [delta.kind for delta in heard] == ["tool_call"]
        return "Rain."

    stage.objects["models/main"] = Says([[call("good", '{"city": "Rome"}'), call("bad", id="c2")], "It rains."])
    stage.objects["tools/given"] = Toolbox({"good": before})
    async with stage.orchestrator(GIVEN + "tools: [given]") as orchestrator:
        reply = await orchestrator.chat("How is it?", emit=emit)
    assert reply.text == "It rains."
    begun, ended = heard  # the unknown tool did not run
    assert begun.tool_call is not None
    assert ended.tool_result is not None
    assert (begun.tool_call.name, begun.tool_call.arguments) == ("good", '{"city": "Rome"}')
    assert (ended.kind, str(ended), ended.tool_result.id) == ("tool_result", "", begun.tool_call.id)
    assert (ended.tool_result.name, ended.tool_result.ok) == ("good", True)


async def test_a_stream_says_that_a_tool_has_failed(stage: Stage) -> None:
    heard: list[Delta] = []

    async def emit(delta: Delta) -> None:
        heard.append(delta)

    async def fails(vars: Mapping[str, Any]) -> str:
        raise ToolError("no such order")

    stage.objects["models/main"] = Says([[call("bad")], "Sorry."])
    stage.objects["tools/given"] = Toolbox({"bad": fails})
    async with stage.orchestrator(GIVEN + "tools: [given]") as orchestrator:
        await orchestrator.chat("How is it?", emit=emit)
    assert [(delta.kind, delta.tool_result and delta.tool_result.ok) for delta in heard] == [
        ("tool_call", None),
        ("tool_result", False),
    ]


async def test_chat_gives_the_whole_reply(stage: Stage) -> None:
    async with stage.orchestrator(ECHO) as orchestrator:
        reply = await orchestrator.chat("Hi", session_id="s", tenant=None)
    line = reply.to_dict()
    assert (line["reply"], line["session"], line["model"], line["error"]) == ("Hi", "s", "main", None)
    assert line["id"] == reply.id
    assert line["latency_ms"] > 0
    assert json.loads(json.dumps(line)) == line


async def test_an_emit_that_raises_is_the_callers_own_error(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async def emit(delta: Delta) -> None:
        raise ConnectionResetError("the client went away")

    async with stage.orchestrator(ECHO) as orchestrator:
        answer = await orchestrator.answer(Request(message="a"), emit)
    assert answer.error is not None
    assert answer.error.to_dict() == {
        "code": "emit",
        "message": "the reply cannot be streamed to the caller: ConnectionResetError: the client went away",
    }
    assert caplog.text == ""


@pytest.mark.parametrize("emit", [7, "print"])
async def test_an_emit_that_is_no_function_is_an_error_before_the_turn(stage: Stage, emit: Any) -> None:
    model = stage.objects["models/main"] = Says(["fine"])
    async with stage.orchestrator(GIVEN) as orchestrator:
        with pytest.raises(UsageError, match="emit must be an async function"):
            await orchestrator.chat("a", emit=emit)
    assert model.turns == []


async def test_an_emit_that_is_not_async_is_named_as_such(stage: Stage) -> None:
    heard: list[Delta] = []
    async with stage.orchestrator("models: {main: {type: echo, context_window: 10000}}") as orchestrator:
        with pytest.raises(EmitError, match="emit must be an async function"):
            await orchestrator.chat("a", emit=heard.append)  # type: ignore[arg-type]


@pytest.mark.parametrize("request_", ["Hello!", None, {"message": "Hello!"}])
async def test_answer_takes_a_request_and_nothing_else(stage: Stage, request_: Any) -> None:
    stage.objects["models/main"] = Says([])
    async with stage.orchestrator(GIVEN) as orchestrator:
        with pytest.raises(UsageError, match=r"answer takes a Request, not .*use `app\.chat"):
            await orchestrator.answer(request_)


async def test_middleware_that_wraps_emit_sees_the_stream(stage: Stage) -> None:
    class Shout:
        def wrap(self, handler: Handler) -> Handler:
            async def wrapped(turn: Turn) -> Reply:
                async def louder(delta: Delta) -> None:
                    await turn.emit(Delta(delta.text.upper()))

                return await handler(turn.replace(emit=louder))

            return wrapped

    pieces: list[str] = []

    async def emit(delta: Delta) -> None:
        pieces.append(delta.text)

    stage.objects["middleware/given"] = Shout()
    async with stage.orchestrator(ECHO + "middleware: [given]") as orchestrator:
        await orchestrator.answer(Request(message="hush hush"), emit)
    assert "".join(pieces) == "HUSH HUSH"


async def test_a_middleware_that_gives_no_reply_is_named_as_the_fault(stage: Stage) -> None:
    class Silent:
        def wrap(self, handler: Handler) -> Handler:
            async def wrapped(turn: Turn) -> Any:
                await handler(turn)

            return wrapped

    stage.objects["middleware/given"] = Silent()
    async with stage.orchestrator(ECHO + "middleware: [given]") as orchestrator:
        answer = await orchestrator.answer(Request(message="a", session="s"))
        rendered = await orchestrator.render(Request(message="b", session="s"))
    assert answer.error is not None
    assert "a middleware returned NoneType instead of a Reply" in str(answer.error)
    assert len(rendered.messages) == 1


@pytest.mark.parametrize("around", ["turn", "model", "tool"])
async def test_middleware_wraps_what_it_is_around(stage: Stage, around: str) -> None:
    notes: list[str] = []
    stage.objects |= {"middleware/given": Notes("given", notes), "models/main": Says(["a"])}
    async with stage.orchestrator(GIVEN + f"middleware: [{{type: given, around: {around}}}]") as orchestrator:
        await orchestrator.chat("hi")
    assert notes == ([] if around == "tool" else ["given in", "given out"])


VARIANTS = """
variants:
  tone:
    arms:
      plain: {}
      warm: {with: {settings: {temperature: 1.5}}}
tenants:
  acme: {with: {variants: {tone: null}}}
"""


async def test_a_session_keeps_its_arm_and_is_exposed_once(stage: Stage) -> None:
    spy = stage.objects["exporters/given"] = Spy()
    model = stage.objects["models/main"] = Says(["x"])
    async with stage.orchestrator(GIVEN + SPIED + VARIANTS) as orchestrator:
        answers = [await orchestrator.answer(Request(message="a", session=f"s{i % 20}")) for i in range(40)]
    arms = [answer.variants["tone"] for answer in answers]
    assert arms[:20] == arms[20:]
    assert set(arms) == {"plain", "warm"}
    assert [turn.settings.temperature for turn in model.turns] == [1.5 if arm == "warm" else None for arm in arms]
    exposed = spy.of("exposure")
    assert [event.session for event in exposed] == [f"s{i}" for i in range(20)]
    assert [event.data["arm"] for event in exposed] == arms[:20]
    assert all(event.plan == answer.plan for event, answer in zip(exposed, answers, strict=False))


async def test_a_forced_arm_is_taken_and_not_counted_as_exposure(stage: Stage) -> None:
    spy = stage.objects["exporters/given"] = Spy()
    async with stage.orchestrator(ECHO + SPIED + VARIANTS) as orchestrator:
        forced = [
            await orchestrator.answer(Request(message="a", session="s", arms={"tone": arm}))
            for arm in ("plain", "warm")
        ]
        wrong = await orchestrator.answer(Request(message="a", arms={"tone": "warn"}))
        unknown = await orchestrator.answer(Request(message="a", arms={"tune": "warm"}))
    assert [answer.variants for answer in forced] == [{"tone": "plain"}, {"tone": "warm"}]
    assert "did you mean 'warm'" in str(wrong.error)
    assert "did you mean 'tone'" in str(unknown.error)
    assert spy.of("exposure") == []


async def test_a_tenant_that_stays_out_has_no_arm(stage: Stage) -> None:
    async with stage.orchestrator(ECHO + VARIANTS) as orchestrator:
        answers = [await orchestrator.answer(Request(message="a", session=f"s{i}", tenant="acme")) for i in range(9)]
    assert [answer.variants for answer in answers] == [{}] * 9


async def test_calls_of_the_callers_tools_end_the_turn_and_leave_no_call_open_in_the_session(stage: Stage) -> None:
    model = stage.objects["models/main"] = Says([[ToolCall("c1", "weather", "{}")], "sunny"])
    async with stage.orchestrator(GIVEN) as orchestrator:
        answer = await orchestrator.answer(Request(message="a", session="s", tools=(Tool("weather"),)))
        await orchestrator.chat("b", session_id="s")
    assert answer.stop_reason == "tool_calls"
    assert answer.to_dict()["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}
    assert [message.role for message in model.turns[1].messages] == ["user", "assistant", "tool", "user"]


async def test_a_repeated_turn_gives_events_with_the_same_ids_and_is_stored_once(stage: Stage) -> None:
    spy = stage.objects["exporters/given"] = Spy()
    request = Request(message="a", session="s", turn_id=uuid7(1_700_000_000.0, b"0123456789"))
    async with stage.orchestrator(ECHO + SPIED) as orchestrator:
        await orchestrator.answer(request)
        await orchestrator.answer(request)
        rendered = await orchestrator.render(Request(message="b", session="s"))
    ids = [event.id for event in spy.events]
    half = len(ids) // 2
    assert ids[:half] == ids[half:]
    assert len(set(ids)) == half == 3
    assert all(id[14] == "7" and id.startswith("018bcfe5-6800") for id in ids)
    assert len(rendered.messages) == 3


async def test_a_cancelled_turn_leaves_no_lock_no_lease_and_no_message(stage: Stage) -> None:
    """Cancelled at every point where it waits, in turn."""
    reached = 0
    for stop in range(1, 200):
        spy = stage.objects["exporters/given"] = Spy()
        stage.objects |= {
            "models/main": Says([_slowly]),
            "contributors/given": _opened_slowly,
            "sessions/given": (store := SlowStore()),
        }
        overlay = "tenants: {acme: {with: {contributors: {given: {type: given}}}}}"
        orchestrator = stage.orchestrator(GIVEN + SPIED + "sessions: given\n" + overlay)
        async with orchestrator:
            task = asyncio.create_task(orchestrator.chat("a", session_id="s", tenant="acme"))
            for _ in range(stop):
                await asyncio.sleep(0)
            if task.done():
                break
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            reached += 1
            generation = orchestrator._current
            assert (len(generation._turns), len(generation._shared.sessions)) == (0, 0)
            users = {lease.key: lease.users for lease in generation.pipelines._leases.values()}
            assert users.pop(generation.base) == 1
            assert set(users.values()) <= {0}
            assert store.appended in ([], ["whole"])
        assert len(orchestrator._nodes) == 0
        assert [data["code"] for data in spy.data("error")] == ["cancelled"]
        assert [data["stop_reason"] for data in spy.data("turn")] == ["cancelled"]
    assert reached >= 8


@asynccontextmanager
async def _opened_slowly(config: Any, context: Any) -> AsyncIterator[Piece]:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    yield Piece("p")
    await asyncio.sleep(0)


async def _slowly(turn: Turn) -> str:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return "x"


class SlowStore:
    def __init__(self) -> None:
        self.appended: list[str] = []

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        await asyncio.sleep(0)
        return ()

    async def append(self, tenant: Any, session: Any, turn_id: Any, messages: tuple[Message, ...]) -> None:
        await asyncio.sleep(0)
        assert texts(messages) == ["a", "x"]
        self.appended.append("whole")


async def test_closing_waits_for_the_turns_in_flight_and_delivers_their_events(stage: Stage) -> None:
    gate = Gate()

    async def wait(turn: Turn) -> str:
        await gate.pass_through()
        return "late"

    spy = stage.objects["exporters/given"] = Spy()
    stage.objects["models/main"] = Says([wait])
    orchestrator = await stage.orchestrator(GIVEN + SPIED).__aenter__()
    turn = asyncio.create_task(orchestrator.chat("a", session_id="s"))
    await gate.reached.wait()
    closing = asyncio.create_task(orchestrator.__aexit__(None, None, None))
    await settle()
    assert not closing.done()
    with pytest.raises(Refused, match="not open"):
        await orchestrator.chat("b")
    gate.opened.set()
    await closing
    assert (await turn).message.text() == "late"
    assert len(spy.of("turn")) == 1


async def test_an_orchestrator_that_only_renders_opens_no_model_and_answers_nothing(stage: Stage) -> None:
    def refuse(config: Any, context: Any) -> Any:
        raise AssertionError("nobody asked for it")

    stage.objects |= {"models/main": refuse, "exporters/given": refuse}
    async with stage.orchestrator(GIVEN + SPIED, answering=False) as orchestrator:
        rendered = await orchestrator.render(Request(message="a"))
        with pytest.raises(UsageError, match="only renders"):
            await orchestrator.chat("a")
    assert texts(rendered.messages) == ["a"]


async def test_a_request_with_neither_message_nor_messages_is_told(stage: Stage) -> None:
    async with stage.orchestrator(ECHO) as orchestrator:
        answer = await orchestrator.answer(Request())
    assert "either 'message' or 'messages'" in str(answer.error)


async def test_what_a_component_reports_while_it_is_opened_becomes_an_event_once(stage: Stage) -> None:
    def build(config: Any, context: Any) -> Any:
        for _ in range(2):
            context.report("others may write the file", {"file": "settings.yml"})
        return Piece("p")

    spy = stage.objects["exporters/given"] = Spy()
    stage.objects["contributors/given"] = build
    async with stage.orchestrator(ECHO + SPIED + "contributors: [given]"):
        pass
    told = {"code": "component", "node": "contributors/given", "message": "others may write the file"}
    assert spy.data("error") == [told | {"file": "settings.yml"}]
