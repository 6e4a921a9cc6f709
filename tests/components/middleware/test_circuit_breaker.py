"""A model that fails in a row is not called for a while; probes find out when it is well."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import pytest
from attrs import define, field

from tests.components.context import StillClock
from tests.components.middleware.harness import Guard, a_reply, a_turn, harness
from tests.runtime.stage import Gate, Spy, Stage, settle
from victor_dsl.errors import EmitError, ModelError, ModelErrorKind, VictorError
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Turn

FAILING = ("overloaded", "timeout", "unreachable", "bad_response", "rate_limited")


@define
class Server:
    """A model that fails with `error` while there is one."""

    error: BaseException | None = None
    calls: int = 0

    async def answer(self, turn: Turn) -> Reply:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return a_reply()


def failure(kind: Any = "overloaded", **more: Any) -> ModelError:
    return ModelError("busy", kind=kind, **more)


async def outcome(guard: Guard, turn: Turn | None = None) -> str:
    """What became of one call: `ok`, or the error's kind."""
    try:
        await guard(turn or a_turn())
    except ModelError as error:
        return error.kind
    return "ok"


async def outcomes(guard: Guard, times: int) -> list[str]:
    return [await outcome(guard) for _ in range(times)]


async def test_after_three_failures_the_model_is_not_called(tmp_path: Path) -> None:
    server = Server(failure())
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        assert await outcomes(guard, 5) == ["overloaded"] * 3 + ["circuit_open"] * 2
        assert server.calls == 3
        with pytest.raises(ModelError) as caught:
            await guard(a_turn())
    error = caught.value
    assert str(error) == "models/main: is not called for 10.0 s, because its last calls failed (overloaded)"
    assert (error.transient, error.kind in ModelError.STAND_IN, error.retry_after_s) == (False, True, 10.0)


async def test_a_success_in_between_starts_the_count_again(tmp_path: Path) -> None:
    server = Server()
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        for error in (failure(), failure(), None, failure(), failure(), None):
            server.error = error
            await outcome(guard)
        assert await outcome(guard) == "ok"


async def test_failures_that_lie_further_apart_than_the_window_do_not_count_together(tmp_path: Path) -> None:
    server = Server(failure())
    async with harness("circuit_breaker", tmp_path, server.answer, window_seconds=60) as guard:
        for _ in range(6):
            assert await outcome(guard) == "overloaded"
            guard.clock.time += 30
        server.error = None
        assert await outcome(guard) == "ok"


async def test_while_it_is_open_there_is_one_probe_after_each_pause(tmp_path: Path) -> None:
    server = Server(failure())
    async with harness("circuit_breaker", tmp_path, server.answer, open_seconds=5) as guard:
        await outcomes(guard, 3)
        for _ in range(60):
            guard.clock.time += 1
            await outcome(guard)
        assert server.calls == 3 + 12
        server.error = None
        guard.clock.time += 5
        assert await outcomes(guard, 3) == ["ok"] * 3


async def test_only_one_of_many_concurrent_calls_is_the_probe(tmp_path: Path) -> None:
    gate, server = Gate(), Server(failure())

    async def answer(turn: Turn) -> Reply:
        if server.error is None:
            await gate.pass_through()
        return await server.answer(turn)

    async with harness("circuit_breaker", tmp_path, answer) as guard:
        await outcomes(guard, 3)
        server.error = None
        guard.clock.time += 10
        calls = [asyncio.create_task(outcome(guard)) for _ in range(5)]
        await gate.reached.wait()
        await settle()
        assert sorted(call.result() for call in calls if call.done()) == ["circuit_open"] * 4
        gate.opened.set()
        assert sorted(await asyncio.gather(*calls)) == ["circuit_open"] * 4 + ["ok"]
        assert await outcome(guard) == "ok"


async def test_a_probe_that_hangs_does_not_keep_the_circuit_open(tmp_path: Path) -> None:
    gate, server = Gate(), Server(failure())

    async def answer(turn: Turn) -> Reply:
        if turn.session == "hangs":
            await gate.pass_through()
        return await server.answer(turn)

    async with harness("circuit_breaker", tmp_path, answer) as guard:
        await outcomes(guard, 3)
        server.error = None
        guard.clock.time += 10
        hanging = asyncio.create_task(outcome(guard, a_turn(session="hangs")))
        await gate.reached.wait()
        assert await outcome(guard) == "circuit_open"
        guard.clock.time += 10
        assert await outcome(guard) == "ok"
        gate.opened.set()
        assert await hanging == "ok"


@pytest.mark.parametrize("kind", get_args(ModelErrorKind))
async def test_only_failures_of_the_model_itself_open_it(tmp_path: Path, kind: ModelErrorKind) -> None:
    server = Server(failure(kind))
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        found = await outcomes(guard, 6)
    assert found == ([kind] * 3 + ["circuit_open"] * 3 if kind in FAILING else [kind] * 6)


async def test_bad_requests_of_one_tenant_neither_open_it_nor_keep_it_closed(tmp_path: Path) -> None:
    server = Server()
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        for kind in ("overloaded", "bad_request", "overloaded", "authentication", "overloaded"):
            server.error = failure(kind)
            await outcome(guard)
        assert await outcome(guard) == "circuit_open"


@pytest.mark.parametrize("error", [failure("bad_request"), EmitError("gone"), asyncio.CancelledError(), KeyError("x")])
async def test_a_probe_that_shows_nothing_leaves_the_next_call_to_probe(tmp_path: Path, error: BaseException) -> None:
    server = Server(failure())
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        await outcomes(guard, 3)
        guard.clock.time += 10
        server.error = error
        with suppress(VictorError, asyncio.CancelledError, KeyError):
            await guard(a_turn())
        server.error = failure()
        assert await outcomes(guard, 2) == ["overloaded", "circuit_open"]


@pytest.mark.parametrize(
    ("retry_after_s", "opens", "wait_s"),
    [(None, True, 10), (2, False, 0), (10, False, 0), (30, True, 30), (9999, True, 60)],
)
async def test_a_rate_limit_counts_if_it_lasts_longer_than_a_pause(
    tmp_path: Path, retry_after_s: float | None, opens: bool, wait_s: float
) -> None:
    server = Server(failure("rate_limited", retry_after_s=retry_after_s))
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        await outcomes(guard, 3)
        assert (await outcome(guard) == "circuit_open") == opens
        if opens:
            guard.clock.time += wait_s - 0.5
            assert await outcome(guard) == "circuit_open"
            guard.clock.time += 1
            assert await outcome(guard) == "rate_limited"


async def test_a_broken_stream_counts_and_its_pieces_go_out(tmp_path: Path) -> None:
    async def answer(turn: Turn) -> Reply:
        await turn.emit(Delta("half"))
        raise failure("bad_response")

    async with harness("circuit_breaker", tmp_path, answer) as guard:
        pieces: list[str] = []

        async def emit(delta: Delta) -> None:
            pieces.append(delta.text)

        for _ in range(4):
            await outcome(guard, a_turn(emit=emit, streaming=True))
    assert pieces == ["half"] * 3


async def test_each_model_has_its_own_circuit_for_all_tenants(tmp_path: Path) -> None:
    server = Server(failure())
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        for tenant in ("a", "b", "c"):
            await outcome(guard, a_turn(tenant=tenant))
        assert await outcome(guard, a_turn(tenant="d")) == "circuit_open"
        other = a_turn()
        assert await outcome(guard, other.replace(settings=other.settings.replace(model="spare"))) == "overloaded"


async def test_circuits_survive_a_reload_and_their_number_is_bounded(tmp_path: Path) -> None:
    memory: dict[str, Any] = {}
    async with harness("circuit_breaker", tmp_path, Server(failure()).answer, memory=memory) as guard:
        await outcomes(guard, 3)
    async with harness("circuit_breaker", tmp_path, Server().answer, memory=memory, open_seconds=5) as guard:
        assert await outcome(guard) == "circuit_open"
        turn = a_turn()
        for number in range(1_200):
            await guard(turn.replace(settings=turn.settings.replace(model=f"m{number}")))
    assert len(memory["circuits"]) == 1_000


async def test_events_say_when_it_opens_and_closes(tmp_path: Path) -> None:
    events: list[Any] = []
    turn = a_turn(record=lambda type, data: events.append((type, dict(data))))
    server = Server(failure("timeout"))
    async with harness("circuit_breaker", tmp_path, server.answer) as guard:
        for _ in range(5):
            await outcome(guard, turn)
        guard.clock.time += 10
        server.error = None
        await outcome(guard, turn)
        await outcome(guard, turn)
    assert events == [
        ("error", {"code": "circuit-opened", "node": "models/main", "kind": "timeout", "open_seconds": 10.0}),
        ("error", {"code": "circuit-closed", "node": "models/main"}),
    ]


@define
class Outage:
    """A server that is down until a time."""

    clock: StillClock
    until: float
    calls: list[float] = field(factory=list)

    async def answer(self, turn: Turn) -> Reply:
        self.calls.append(self.clock.time)
        if self.clock.time < self.until:
            raise failure(status=503)
        return a_reply("main")


async def test_an_outage_costs_few_probes_and_the_first_model_is_soon_used_again(tmp_path: Path) -> None:
    clock, stage = StillClock(), Stage(tmp_path)
    main, spare, spy = Outage(clock, clock.time + 60), Server(), Spy()
    stage.objects |= {"models/main": main, "models/spare": spare, "exporters/given": spy}
    spec = """
    models: {main: {type: given}, spare: {type: given}}
    settings: {model: main, fallbacks: [spare]}
    middleware: [{type: retry, initial_seconds: 0}, circuit_breaker]
    exporters: [given]
    """
    begun = clock.time
    async with stage.orchestrator(spec, clock=clock) as orchestrator:
        for number in range(20):
            clock.time = begun + 4 * number
            await orchestrator.chat("hi")
    answered = [data["model"] for data in spy.data("turn")]
    assert len(answered) == 20
    assert 60 <= 4 * answered.index("main") <= 90
    assert answered[answered.index("main") :] == ["main"] * (20 - answered.index("main"))
    failed = [time for time in main.calls if time < begun + 60]
    assert len(failed) <= 3 + 6
    assert [data["code"] for data in spy.data("error") if data["code"].startswith("circuit-")] == [
        "circuit-opened",
        "circuit-closed",
    ]
    assert {data["code"] for data in spy.data("error")} >= {"model-circuit_open", "model-overloaded"}
