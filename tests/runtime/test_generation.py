"""Turns of many plans: each plan is compiled and opened when first needed, and forgotten when unused for long."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from attrs import evolve

from tests.runtime.stage import Gate, Piece, Says, Spy, Stage, settle
from tests.runtime.test_orchestrator import with_admission
from victor_dsl.compiler import variations
from victor_dsl.errors import ComponentError, UsageError
from victor_dsl.graph import plan as plans
from victor_dsl.language.component import Context
from victor_dsl.runtime import generation
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Handler, Turn

TENANTS = tuple("abcdef")
SPEC = "models: {main: {type: given}}\ntenants:\n" + "".join(
    f"  {name}: {{with: {{contributors: {{{name}: {{type: given}}}}}}}}\n" for name in TENANTS
)


@pytest.fixture
def tenants(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage with tenants, each with a piece of its own; two plans stay open without a turn."""
    monkeypatch.setattr(generation, "IDLE_PLANS", 2)
    stage.objects |= {f"contributors/{name}": Piece(name) for name in TENANTS}
    stage.objects["models/main"] = Says(["x"])
    return stage


class Slow:
    """A contributor whose opening waits at a gate; when that is cancelled, it takes a while to clean up."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def __aenter__(self) -> Piece:
        try:
            await self._gate.pass_through()
        except asyncio.CancelledError:
            for _ in range(5):
                await settle()
            raise
        return Piece("a")

    async def __aexit__(self, *error: object) -> None:
        """Nothing to close."""


def open_plans(orchestrator: Orchestrator) -> list[str | None]:
    return [lease.resource.plan.tenant for lease in orchestrator._current.pipelines._leases.values()]


async def test_the_plans_unused_for_longest_are_closed(tenants: Stage) -> None:
    async with tenants.orchestrator(SPEC) as orchestrator:
        for tenant in "abac":
            await orchestrator.chat("hi", tenant=tenant)
        await settle()
        assert open_plans(orchestrator) == [None, "a", "c"]


async def test_turns_that_begin_while_plans_are_evicted_are_answered(tenants: Stage) -> None:
    """Six plans are in use at once; afterwards four are closed, which takes until all six are needed again."""
    asked, answer, closing, close = 0, asyncio.Event(), asyncio.Semaphore(0), asyncio.Event()

    class Leaving(Piece):
        async def __aenter__(self) -> Piece:
            return self

        async def __aexit__(self, *error: object) -> None:
            closing.release()
            await close.wait()

    async def wait(turn: Turn) -> str:
        nonlocal asked
        asked += 1
        if asked == len(TENANTS):
            answer.set()
        await answer.wait()
        return "x"

    tenants.objects |= {f"contributors/{name}": lambda config, context: Leaving("piece") for name in TENANTS}
    tenants.objects["models/main"] = Says([wait])
    async with tenants.orchestrator(SPEC) as orchestrator:
        answers = []
        for _ in range(2):
            burst = [asyncio.create_task(orchestrator.answer(Request(message="a", tenant=name))) for name in TENANTS]
            await settle()
            close.set()
            answers += await asyncio.gather(*burst)
            close.clear()
            for _ in range(len(TENANTS) - 2):
                await closing.acquire()
        close.set()
    assert [str(answer.error) for answer in answers if answer.error] == []
    assert len(orchestrator._nodes) == 0


async def test_two_turns_that_need_a_plan_open_it_once(tenants: Stage) -> None:
    gate, built = Gate(), []

    def build(config: object, context: Context) -> Slow:
        built.append(context.node)
        return Slow(gate)

    tenants.objects["contributors/a"] = build
    async with tenants.orchestrator(SPEC) as orchestrator, asyncio.TaskGroup() as group:
        turns = [group.create_task(orchestrator.chat("hi", tenant="a")) for _ in range(2)]
        await gate.reached.wait()
        await settle()
        gate.opened.set()
    assert [turn.result().message.text() for turn in turns] == ["x", "x"]
    assert built == ["contributors/a"]


async def test_a_middleware_that_cannot_wrap_leaves_nothing_open(stage: Stage) -> None:
    class Broken:
        def wrap(self, handler: Handler) -> Handler:
            raise ValueError("no such luck")

    stage.objects["middleware/given"] = Broken()
    spec = "models: {main: {type: echo}}\ntenants: {a: {with: {middleware: {given: {type: given}}}}}\n"
    async with stage.orchestrator(spec) as orchestrator:
        answers = [await orchestrator.answer(Request(message="a", tenant="a")) for _ in range(3)]
        assert [answer.error.node for answer in answers if answer.error] == ["middleware/given"] * 3
        assert (await orchestrator.answer(Request(message="a"))).error is None
    assert len(orchestrator._nodes) == 0
    with pytest.raises(ComponentError, match="middleware/given"):
        await stage.orchestrator("models: {main: {type: echo}}\nmiddleware: [given]\n").__aenter__()


async def test_a_plan_is_compiled_in_a_thread_and_once(tenants: Stage) -> None:
    program = tenants.program(SPEC)
    compiled: list[tuple[str | None, bool]] = []

    def compile_plan(tenant: str | None, arms: Any) -> Any:
        compiled.append((tenant, threading.current_thread() is threading.main_thread()))
        return program.compile_plan(tenant, arms)

    async with Orchestrator(evolve(program, compile_plan=compile_plan), registry=tenants.registry) as orchestrator:
        await asyncio.gather(*(orchestrator.chat("hi", tenant=tenant) for tenant in ("a", "b", "a", None)))
    assert compiled[0] == (None, True), "the base plan is compiled before anything runs"
    assert sorted(compiled[1:]) == [("a", False), ("b", False)]


def test_so_many_plans_are_remembered_and_the_rest_is_forgotten_with_what_it_was_made_of(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variations, "MOST_COMBINATIONS", 1)
    monkeypatch.setattr(plans, "PLANS_CACHED", 3)
    arms = "{arms: {x: {with: {contributors: {%s: {type: text, text: x}}}}, y: {}}}"
    experiments = "".join(f"  {name}: {arms % name}\n" for name in "abc")
    program = stage.program(f"models: {{main: {{type: echo}}}}\nvariants:\n{experiments}")
    base = program.plan_for(None, {})
    every = [{"a": a, "b": b, "c": c} for a in "xy" for b in "xy" for c in "xy"]
    made = [weakref.ref(program.plan_for(None, one)) for one in every]
    items = [weakref.ref(node) for one in made if (plan := one()) for node in plan.nodes]
    del plan
    gc.collect()
    assert [one() is not None for one in made] == [False] * 6 + [True] * 2
    assert program.plan_for(None, every[-1]) is made[-1]()
    assert program.plan_for(None, {}) is base
    assert len({node.id for node in program.plan_for(None, every[0]).nodes if node.kind == "contributors"}) == 3
    assert items


def test_the_plan_that_was_not_used_for_longest_is_forgotten(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "PLANS_CACHED", 3)
    stage.objects |= {f"contributors/{name}": Piece(name) for name in TENANTS}
    program = stage.program(SPEC.replace("given}}\ntenants", "echo}}\ntenants"))
    base = program.plan_for(None, {})
    a = program.plan_for("a", {})
    for tenant in "bcd":
        program.plan_for(tenant, {})
        assert program.plan_for("a", {}) is a
    assert [program.cached_plan(tenant, {}) is not None for tenant in "abcd"] == [True, False, False, True]
    assert program.plan_for(None, {}) is base


async def test_a_turn_that_swallows_its_cancellation_does_not_hold_up_closing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(generation, "DRAIN_SECONDS", 0.001)
    monkeypatch.setattr(generation, "CANCEL_SECONDS", 0.001)
    release, asked = asyncio.Event(), asyncio.Event()

    async def stubborn(turn: Turn) -> str:
        asked.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "late"

    stage.objects["models/main"] = Says([stubborn])
    async with stage.orchestrator("models: {main: {type: given}}\n") as orchestrator:
        turn = asyncio.create_task(orchestrator.answer(Request(message="a", session="s")))
        await asked.wait()
    assert "turns that ignore their cancellation: 1" in caplog.text
    assert len(orchestrator._nodes) == 0
    release.set()
    await asyncio.wait([turn])


async def test_a_reload_that_is_under_way_when_the_orchestrator_closes_leaves_nothing_open(stage: Stage) -> None:
    gate = Gate()

    stage.objects |= {"contributors/given": lambda config, context: Slow(gate), "exporters/given": Spy()}
    spec = "models: {main: {type: echo}}\nexporters: [given]\n"
    async with stage.orchestrator(spec) as orchestrator:
        reload = asyncio.create_task(orchestrator.reload(stage.program(spec + "contributors: [given]\n")))
        await gate.reached.wait()
    assert len(orchestrator._nodes) == 0
    assert orchestrator._retiring == {}
    (error,) = await asyncio.gather(reload, return_exceptions=True)
    assert "the orchestrator is not open" in str(error)


async def test_closing_waits_for_turns_of_the_programs_before_and_closes_those(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "DRAIN_SECONDS", 0.001)
    asked = asyncio.Event()

    async def hang(turn: Turn) -> str:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    stage.objects["models/main"] = Says([hang])
    spec = "models: {main: {type: given}}\n"
    async with stage.orchestrator(spec) as orchestrator:
        turn = asyncio.create_task(orchestrator.answer(Request(message="a")))
        await asked.wait()
        await orchestrator.reload(stage.program(spec + "contributors: [{type: text, text: new}]\n"))
    assert turn.cancelled()
    assert len(orchestrator._nodes) == 0


async def test_a_node_is_built_with_the_environment_of_its_own_program(stage: Stage) -> None:
    """Also where its plan is opened after a reload, for a turn that began before it."""
    seen: list[str] = []
    gate = Gate()

    def build(config: Any, context: Context) -> Piece:
        seen.append(context.environment["WHO"])
        return Piece("a")

    class Waits:
        def wrap(self, handler: Handler) -> Handler:
            async def wrapped(turn: Turn) -> Any:
                await gate.pass_through()
                return await handler(turn.replace(tenant="a"))

            return wrapped

    stage.objects |= {"contributors/given": build, "middleware/given": Waits()}
    spec = (
        "models: {main: {type: echo}}\nmiddleware: [given]\nvars: {a: %s}\n"
        "tenants: {a: {with: {contributors: {given: {type: given}}}}}\n"
    )
    old = with_admission(stage.program(spec % 1, {"WHO": "old"}), "middleware/given")
    async with Orchestrator(old, registry=stage.registry) as orchestrator:
        turn = asyncio.create_task(orchestrator.chat("hi"))
        await gate.reached.wait()
        await orchestrator.reload(stage.program(spec % 2, {"WHO": "new"}))
        assert seen == []
        gate.opened.set()
        await turn
    assert seen == ["old"]


async def test_an_orchestrator_is_opened_once(stage: Stage) -> None:
    orchestrator = stage.orchestrator("models: {main: {type: echo}}\n")
    async with orchestrator:
        with pytest.raises(UsageError, match="can be opened once"):
            await orchestrator.__aenter__()
        assert (await orchestrator.chat("a")).message.text() == "a"
    with pytest.raises(UsageError, match="can be opened once"):
        await orchestrator.__aenter__()
