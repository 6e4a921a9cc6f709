"""Guards in a whole spec: what the fault list of job 5 says cannot happen, and no order of guards that lets it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from itertools import combinations, permutations
from pathlib import Path

import pytest
from attrs import define

from tests.runtime.stage import HEAD, Notes, Says, Spy, Stage, call
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import ModelError
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Delta, Message, Reply, Usage
from victor_dsl.values.request import API_KEY, Request
from victor_dsl.values.turn import Emit, Handler, Turn

KEY = "vk_of-acme-and-ann-0123456789"
GUARDS = {
    "auth": "{type: auth, keys: keys.json}",
    "rate_limit": "{type: rate_limit, requests_per_minute: 2}",
    "timeout": "{type: timeout, seconds: 30}",
    "retry": "{type: retry, around: turn, initial_seconds: 0, max_seconds: 0}",
    "redact": "redact",
    "function": '{type: function, function: "guards_of_a_test:passes"}',
}


@pytest.fixture
def guarded(stage: Stage) -> Stage:
    """A stage with a file of keys and a function beside its spec."""
    entry = {"key_hash": "sha256:" + hashlib.sha256(KEY.encode()).hexdigest(), "tenant_id": "acme", "user_id": "ann"}
    (stage.folder / "keys.json").write_text(json.dumps({"keys": [entry]}))
    (stage.folder / "guards_of_a_test.py").write_text(
        "async def passes(turn, handler):\n    return await handler(turn)\n"
    )
    stage.objects |= {"models/main": Says(["hello"]), "exporters/given": Spy()}
    return stage


def spec(*middleware: str, more: str = "") -> str:
    items = "\n".join(f"  - {item}" for item in middleware)
    return f"models: {{main: {{type: given}}}}\nexporters: [{{type: given, flush_seconds: 0.001}}]\nmiddleware:\n{items}\n{more}"


def asked(text: str = "hi", key: str | None = KEY, **more: str) -> Request:
    return Request(message=text, metadata={} if key is None else {API_KEY: key}, **more)  # type: ignore[arg-type]


def code(answer: Reply) -> str | None:
    return None if answer.error is None else str(answer.error.to_dict()["code"])


def model(stage: Stage) -> Says:
    found = stage.objects["models/main"]
    assert isinstance(found, Says)
    return found


def orders(outermost: str) -> Iterator[tuple[str, ...]]:
    """Every order of every choice of guards with auth and rate_limit among them, that begins with one guard."""
    for size in range(2, len(GUARDS) + 1):
        for chosen in combinations(GUARDS, size):
            if {"auth", "rate_limit", outermost} <= set(chosen):
                yield from (order for order in permutations(chosen) if order[0] == outermost)


ORDERS = {  # the outermost guard: how many orders are refused, and how many hold
    "auth": (0, 261),
    "rate_limit": (261, 0),
    "timeout": (135, 77),
    "retry": (135, 77),
    "redact": (212, 0),
    "function": (135, 77),
}
assert set(ORDERS) == set(GUARDS)


@pytest.mark.parametrize("outermost", ORDERS)
async def test_recipe_5_no_order_lets_an_unauthenticated_or_over_limit_turn_reach_the_model(
    outermost: str, guarded: Stage
) -> None:
    async def ignore(delta: Delta) -> None: ...

    says, refused, held = model(guarded), 0, 0
    path = guarded.folder / "victor.yml"
    for number, order in enumerate(orders(outermost)):
        emit: Emit | None = ignore if number % 2 else None
        path.write_text(HEAD + spec(*(GUARDS[name] for name in order)))
        compilation = compile_spec(str(path), environment={}, registry=guarded.registry)
        first = min(order.index(name) for name in ("rate_limit", "redact") if name in order)  # these need to know more
        if compilation.program is None:
            assert {d.code for d in compilation.errors} == {"before-auth"}
            assert first < order.index("auth")
            refused += 1
            continue
        assert first > order.index("auth")
        says.turns.clear()
        async with Orchestrator(compilation.program, registry=guarded.registry) as orchestrator:
            for request in (asked(key=None), asked(key="x" * 30), asked(tenant="globex"), asked(user="bob")):
                assert code(await orchestrator.answer(request, emit)) == "unauthenticated"
            assert says.turns == []
            answers = [code(await orchestrator.answer(asked(), emit)) for _ in range(4)]
            assert answers == [None, None, "limit-reached", "limit-reached"], order
            assert [(turn.tenant, turn.user) for turn in says.turns] == [("acme", "ann")] * 2
        held += 1
    assert (refused, held) == ORDERS[outermost]


async def test_recipe_5_a_logger_outside_of_auth_does_not_let_anyone_past_it(guarded: Stage) -> None:
    async with guarded.orchestrator(spec("logging", GUARDS["auth"])) as orchestrator:
        assert code(await orchestrator.answer(asked(key=None))) == "unauthenticated"
    assert model(guarded).turns == []


@define
class Raises:
    """A guard that breaks."""

    error: BaseException

    def wrap(self, handler: Handler) -> Handler:
        async def broken(turn: Turn) -> Reply:
            raise self.error

        return broken


@pytest.mark.parametrize("place", ["before auth", "after auth"])
async def test_recipe_5_a_guard_that_raises_lets_nothing_through(guarded: Stage, place: str) -> None:
    guarded.objects["middleware/given"] = Raises(RuntimeError("out of order"))
    items = ["given", GUARDS["auth"]] if place == "before auth" else [GUARDS["auth"], "given"]
    async with guarded.orchestrator(spec(*items)) as orchestrator:
        answer = await orchestrator.answer(asked())
        assert code(answer) == "component"
    assert model(guarded).turns == []


async def test_recipe_5_each_layer_runs_once_and_in_the_order_of_the_list(guarded: Stage) -> None:
    notes: list[str] = []
    guarded.objects |= {f"middleware/{name}": Notes(name, notes) for name in ("a", "b", "c")}
    given = [f"{{type: given, name: {name}}}" for name in ("a", "b", "c")]
    async with guarded.orchestrator(spec(given[0], GUARDS["auth"], *given[1:])) as orchestrator:
        assert code(await orchestrator.answer(asked())) is None
    assert notes == ["a in", "b in", "c in", "c out", "b out", "a out"]


async def test_recipe_5_the_key_is_in_no_log_no_event_and_no_turn_inside(
    guarded: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    logging = "{type: logging, level: debug, contents: true}"
    async with guarded.orchestrator(spec(logging, GUARDS["auth"], "{type: logging, name: inner}")) as orchestrator:
        for key in (KEY, "vk_wrong-wrong-wrong-wrong"):
            await orchestrator.answer(asked(key=key))
    (turn,) = model(guarded).turns
    spy = guarded.objects["exporters/given"]
    said = f"{caplog.text} {spy.events} {turn} {turn.metadata} {turn.request.metadata}"
    assert KEY not in said
    assert "vk_wrong" not in said


async def test_recipe_5_streams_pass_through_every_guard(guarded: Stage) -> None:
    async def streams(turn: Turn) -> Reply:
        for piece in ("My card is ", "4111 1111 ", "1111 1111", " and more."):
            await turn.emit(Delta(piece))
        return Reply(Message("assistant", "My card is 4111 1111 1111 1111 and more."), Usage(10, 5))

    heard: list[str] = []

    async def emit(delta: Delta) -> None:
        heard.append(delta.text)

    model(guarded).replies = [streams]
    async with guarded.orchestrator(spec(*GUARDS.values(), "logging")) as orchestrator:
        answer = await orchestrator.answer(asked(), emit)
    assert answer.text == "".join(heard) == "My card is [card] and more."
    assert len(heard) > 1


async def test_recipe_5_a_stream_that_its_client_leaves_gives_its_place_back(guarded: Stage) -> None:
    began = asyncio.Event()

    async def streams(turn: Turn) -> Reply:
        await turn.emit(Delta("Once upon "))
        began.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def emit(delta: Delta) -> None: ...

    model(guarded).replies = [streams, "hello"]
    text = spec(GUARDS["auth"], "{type: rate_limit, concurrency: 1}")
    async with guarded.orchestrator(text) as orchestrator:
        leaving = asyncio.ensure_future(orchestrator.answer(asked(), emit))
        await began.wait()
        assert code(await orchestrator.answer(asked())) == "limit-reached"
        leaving.cancel()
        await asyncio.wait([leaving])
        assert code(await orchestrator.answer(asked())) is None


async def test_recipe_5_what_an_unauthenticated_caller_says_of_its_tenant_is_on_no_event(guarded: Stage) -> None:
    async with guarded.orchestrator(spec(GUARDS["auth"])) as orchestrator:
        answer = await orchestrator.answer(asked(key=None, tenant="globex", user="eve"))
        assert answer.tenant is None
        await orchestrator.answer(asked())
    events = guarded.objects["exporters/given"].events
    assert {event.tenant for event in events} == {None, "acme"}
    assert "globex" not in str(events)


async def test_retries_of_the_model_count_once_against_the_limit(guarded: Stage) -> None:
    model(guarded).replies = [ModelError("busy", kind="overloaded"), "hello"]
    retry = "{type: retry, initial_seconds: 0, max_seconds: 0}"
    async with guarded.orchestrator(spec(GUARDS["auth"], GUARDS["rate_limit"], retry)) as orchestrator:
        assert [code(await orchestrator.answer(asked())) for _ in range(3)] == [None, None, "limit-reached"]


async def test_a_limit_of_a_tenant_is_its_own_and_counts_on_what_was_used(guarded: Stage) -> None:
    more = "tenants: {acme: {with: {middleware: {rate_limit: {requests_per_minute: 3}}}}}"
    async with guarded.orchestrator(spec(GUARDS["auth"], GUARDS["rate_limit"], more=more)) as orchestrator:
        answers = [code(await orchestrator.answer(asked())) for _ in range(4)]
        assert answers == [None, None, None, "limit-reached"]


async def test_used_limits_outlive_a_reload_that_changes_the_limiter(guarded: Stage) -> None:
    before = spec(GUARDS["auth"], "{type: rate_limit, requests_per_minute: 4}")
    after = spec(GUARDS["auth"], "{type: rate_limit, requests_per_minute: 6, when_unavailable: allow}")
    async with guarded.orchestrator(before) as orchestrator:
        assert [code(await orchestrator.answer(asked())) for _ in range(3)] == [None] * 3
        await orchestrator.reload(guarded.program(after))
        answers = [code(await orchestrator.answer(asked())) for _ in range(4)]
        assert answers == [None, None, None, "limit-reached"]


async def test_redact_keeps_personal_data_from_the_model_its_tools_and_the_history(guarded: Stage) -> None:
    says = model(guarded)
    says.replies = [[call("find", '{"who": "bob@example.com"}')], "He is ann@example.com", "again"]
    (guarded.folder / "tools_of_a_test.py").write_text(
        "def find(who: str) -> str:\n    return f'{who} has +49 30 1234567'\n"
    )
    more = (
        "sessions: memory\nvars: {owner: eve@example.com}\n"
        'contributors: [{type: template, template: "Owner: {{ owner }}"}]\n'
        'tools: [{type: python, name: find, function: "tools_of_a_test:find"}]\n'
    )
    async with guarded.orchestrator(spec("redact", more=more)) as orchestrator:
        answer = await orchestrator.answer(Request(message="Who is bob@example.com?", session="s"))
        assert answer.text == "He is [email]"
        await orchestrator.answer(Request(message="And now?", session="s"))
        rendered = await orchestrator.render(Request(message="Mail eve@example.com", session="s"))
    first, second, later = says.turns
    assert (first.system, first.messages[0].text()) == ("Owner: [email]", "Who is [email]?")
    assert second.messages[-1].text() == "[email] has [phone]"
    assert "@example" not in str(later.messages)
    assert [message.text() for message in rendered.messages][-1] == "Mail [email]"
    assert rendered.system == "Owner: [email]"


def test_what_stands_around_the_model_is_no_admission_wherever_it_is_written(guarded: Stage, tmp_path: Path) -> None:
    items = ["retry", "{type: timeout, around: tool}", "logging", GUARDS["auth"], "redact"]
    roles = guarded.program(spec(*items)).plan_for(None, {}).roles
    assert roles.admission == ("middleware/logging", "middleware/auth")
    assert roles.middleware == (
        ("middleware/retry", "model"),
        ("middleware/timeout", "tool"),
        ("middleware/redact", "turn"),
        ("middleware/redact", "model"),
    )
