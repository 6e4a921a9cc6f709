"""Runs a command's coroutine, and opens the parts of a program that a command needs."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, TypeVar

import click
from attrs import evolve

from victor_dsl.errors import Refused, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.output import say, warning_line
from victor_dsl.interfaces.cli.waits import Waits
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.nodes import LiveNodes
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage.permissions import EXPOSED
from victor_dsl.values.turn import Turn

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

NOBODY = "victor-validate"
"""The tenant of a question to a provider where the plan has none."""


def run(coroutine: Coroutine[Any, Any, T], *, on_signal: Callable[[int], bool] = lambda _: False) -> T:
    """The coroutine's result. SIGINT, SIGTERM and SIGHUP, of a terminal that is closed, cancel it, so that it closes everything; a
    further one changes nothing.

    `on_signal` gets each signal first, and returns whether it has dealt with it. Raises KeyboardInterrupt on SIGINT; ends the command
    with 143 on SIGTERM, and with 129 on SIGHUP. What `nohup` started, SIGHUP does not end.
    """
    ended_by: int | None = None

    async def until_ended() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            nonlocal ended_by
            if not on_signal(number) and ended_by is None:
                ended_by = number
                task.cancel()

        for number in _heard(SIGNALS):
            loop.add_signal_handler(number, end, int(number))
        return await coroutine  # asyncio removes the handlers with the loop: a signal while tasks end must not kill

    gc.freeze()
    gc.enable()
    try:
        return asyncio.run(until_ended())
    except asyncio.CancelledError:
        if ended_by == signal.SIGINT:
            raise KeyboardInterrupt from None
        if ended_by is not None:
            raise click.exceptions.Exit(128 + ended_by) from None
        raise


def _heard(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """The signals without SIGHUP where whoever started the command has it ignored, as `nohup` does."""
    return [one for one in numbers if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]


@contextmanager
def closing_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command as Ctrl-C does: what is open is closed. A further one changes nothing."""

    def end(number: int, _: Any) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise click.exceptions.Exit(128 + number)

    before = {one: signal.signal(one, end) for one in _heard((signal.SIGTERM, signal.SIGHUP))}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@asynccontextmanager
async def shown_opening(orchestrator: Orchestrator) -> AsyncIterator[Orchestrator]:
    """The orchestrator, open. What it waits for while it opens and closes is shown, on a terminal."""
    with Waits(orchestrator) as waits:
        async with orchestrator:
            waits.pause()
            try:
                yield orchestrator
            finally:
                waits.resume()


@asynccontextmanager
async def opened(program: Program, node_id: str) -> AsyncIterator[Any]:
    """The live object of one node of the base plan, opened with what it needs; what it reports is printed."""

    def report(node: str, message: str, _: Mapping[str, Any]) -> None:
        say(warning_line(f"{node}: {message}"))

    plan = program.plan_for(None, {})
    async with LiveNodes(report=report).open(plan.with_needs([node_id]), program) as objects:
        yield objects[node_id]


async def connect(program: Program, registry: Registry) -> list[str]:
    """Opens every component of every plan, and closes it. The distinct failures."""
    failures: dict[str, None] = {}

    def report(node: str, message: str, data: Mapping[str, Any]) -> None:
        if data.get("code") == EXPOSED:
            say(warning_line(f"{node}: {message}"))
        else:
            failures[f"{node}: {message}"] = None

    live = LiveNodes(registry, report)
    async with AsyncExitStack() as stack:
        for plan, node in program.distinct_nodes():
            try:
                await stack.enter_async_context(live.open(plan.with_needs([node.id]), program))
            except VictorError as error:
                failures[str(error)] = None
    return list(failures)


async def ask_providers(program: Program, registry: Registry, *, environment_only: bool) -> list[str]:
    """Asks each provider once for its values, as a turn would. The distinct failures; what else is reported is printed.

    With `environment_only` those alone are asked whose values come from the environment.
    """
    failures: dict[str, None] = {}

    def record(_: str, data: Mapping[str, Any]) -> None:
        failures[f"{data['node']}: {data['message']}"] = None  # an optional provider's

    def report(node: str, message: str, _: Mapping[str, Any]) -> None:
        say(warning_line(f"{node}: {message}"))

    live = LiveNodes(registry, report)
    for plan, node in program.distinct_nodes():
        component = registry.find(node.kind, node.type)
        if node.kind != "providers" or component is None or (environment_only and not component.reads_environment):
            continue
        turn = Turn(id="", session="", messages=(), tenant=plan.tenant or NOBODY, record=record)
        try:
            async with live.open(plan.with_needs([node.id]), program) as objects:
                asked = evolve(plan, tenants=None, inputs={})  # NOBODY is unknown, and gives none
                await ConfigCoordinator(asked, [(node, objects[node.id])]).settle(turn)
        except Refused:
            pass  # the provider works, and has no values for this tenant
        except VictorError as error:
            failures[str(error)] = None
    return list(failures)
