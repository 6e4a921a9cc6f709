"""The orchestrator: a compiled spec, opened, that answers and renders requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from random import Random
from types import TracebackType
from typing import Any, Self

from victor_dsl.errors import EmitError, Refused, UsageError, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.language.component import Clock
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.boundary import component_error, describe, is_fault
from victor_dsl.runtime.build import LiveObjects
from victor_dsl.runtime.clock import SystemClock
from victor_dsl.runtime.coordinators.analytics import AnalyticsCoordinator, error_data, turn_data
from victor_dsl.runtime.coordinators.context import ContextMemory
from victor_dsl.runtime.delivery import Delivery
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.queue import ExporterQueue
from victor_dsl.runtime.flight import DRAIN_SECONDS
from victor_dsl.runtime.generation import Generation
from victor_dsl.runtime.rendering import render
from victor_dsl.runtime.sessions import SessionLocks
from victor_dsl.storage.ending import to_the_end
from victor_dsl.values.event import Event, uuid7
from victor_dsl.values.message import Delta, Reply, StopReason
from victor_dsl.values.outcome import Answer, Rendered
from victor_dsl.values.request import API_KEY, Request
from victor_dsl.values.turn import Emit, Trace, Turn, discard, forget

logger = logging.getLogger("victor_dsl")


class Orchestrator:
    """Runs a program, from `async with` to its end.

    With `answering=False` it only renders: no model, exporter or admission is opened. Every other plan than the base
    is opened when a turn first needs it.
    """

    def __init__(
        self,
        program: Program,
        *,
        registry: Registry | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        answering: bool = True,
    ) -> None:
        self._clock = clock or SystemClock()
        self._random = random or Random()  # noqa: S311 - jitter
        self._answering = answering
        self._live = LiveObjects(program, registry or Registry(), self._clock, self._random, self._report)
        self._locks = SessionLocks()
        self._memory = ContextMemory()
        self._delivery = Delivery(())
        self._letters = DeadLetters(program.state)
        self._early: list[Event] = []  # what components report while they are opened, the exporters among them
        self._analytics = AnalyticsCoordinator(program.name, self._clock, self._deliver)
        self._current = self._generation(program)
        self._reloading = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._open = False

    @property
    def program(self) -> Program:
        """The program that new turns run on."""
        return self._current.program

    async def __aenter__(self) -> Self:
        """Opens the base plan. Raises ComponentError or SecretError, and then nothing stays open."""
        await self._current.open()
        self._delivery = Delivery(self._queues(self._current))
        self._delivery.open()
        for event in self._early:
            self._delivery.put(event)
        self._early.clear()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets the turns in flight finish, delivers all events, and closes everything in reverse order of opening."""
        await to_the_end(self._close())

    async def answer(self, request: Request, emit: Emit | None = None) -> Answer:
        """The answer to a request; what fails is in its `error`. `emit` takes the pieces of the reply as they come."""
        self._must_be_open()
        if not self._answering:
            raise UsageError("this orchestrator only renders; open it with answering=True")
        generation = self._current
        with generation.flight:
            return await self._answer(generation, request, emit)

    async def chat(
        self,
        text: str,
        *,
        session_id: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
        api_key: str | None = None,
        vars: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        emit: Emit | None = None,
    ) -> Reply:
        """The reply to a message in a session. `api_key` is for `auth`. Raises what `answer` tells."""
        request = Request(
            message=text,
            session=session_id,
            tenant=tenant,
            user=user,
            vars=vars or {},
            settings=settings or {},
            metadata={} if api_key is None else {API_KEY: api_key},
        )
        answer = await self.answer(request, emit)
        if answer.error is not None:
            raise answer.error
        assert answer.message is not None
        return Reply(answer.message, answer.usage, answer.stop_reason)

    async def reload(self, program: Program) -> None:
        """Runs new turns on another program; those in flight finish on the one that they began with.

        What both programs have in common stays open. Raises ComponentError or SecretError where the new one cannot be
        opened, and then the old one goes on. Either way a `reload` event says so.
        """
        self._must_be_open()
        async with self._reloading:
            old, new = self._current, self._generation(program)
            before, after = old.program.plan_for(None, {}), program.plan_for(None, {})
            self._live.program = program
            try:
                await new.open()
            except BaseException as error:
                self._live.program = old.program
                failure = error.as_json() if isinstance(error, VictorError) else {"code": "component"}
                self._analytics.beside("reload", {"ok": False, "plan": before.digest, "error": failure["code"]})
                raise
            self._current = new
            self._analytics.pipeline = program.name
            ending = self._delivery.replace(self._queues(new))
            self._analytics.beside("reload", {"ok": True, "plan": after.digest, "before": before.digest})
            task = asyncio.create_task(self._retire(old, ending), name="retirement of a program")
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def render(self, request: Request) -> Rendered:
        """What the model would be sent. No model is called, nothing is admitted, counted or written."""
        self._must_be_open()
        turn = self._turn(request, request.turn_id or uuid7(self._clock.now()), None)
        generation = self._current
        with generation.flight:
            return await render(turn.replace(record=forget), generation.runner)

    async def _answer(self, generation: Generation, request: Request, emit: Emit | None) -> Answer:
        started = self._clock.monotonic()
        turn = self._turn(request, request.turn_id or uuid7(self._clock.now()), emit, trusted=generation.trusts_callers)
        trace = turn.trace
        failure: VictorError | None = None
        reply: Reply | None = None
        try:
            reply = await generation.handler(turn)
        except BaseException as error:
            if not is_fault(error):
                turn.record("error", {"code": "cancelled", "node": None})
                raise
            failure = component_error(error)
        latency_ms = (self._clock.monotonic() - started) * 1000
        stop_reason: StopReason = "error" if reply is None else reply.stop_reason
        if failure is not None:
            turn.record("error", error_data(failure))
        turn.record("turn", turn_data(trace, latency_ms, stop_reason))
        return Answer(
            id=turn.id if request.id is None else request.id,
            session=trace.session,
            tenant=trace.tenant,
            message=None if reply is None else reply.message,
            stop_reason=stop_reason,
            variants=trace.arms,
            usage=trace.usage,
            latency_ms=latency_ms,
            plan=trace.plan,
            error=failure,
        )

    def _turn(self, request: Request, turn_id: str, emit: Emit | None, *, trusted: bool = True) -> Turn:
        """The turn of a request. One without a session stands alone under its own id.

        Where the caller is not trusted, tenant and user are nobody's until `auth` names them: events too.
        """
        session = request.session or (turn_id if request.id is None else str(request.id))
        tenant, user = (request.tenant, request.user) if trusted else (None, None)
        trace = Trace(session, tenant, user)
        return Turn(
            id=turn_id,
            session=session,
            messages=(),
            tenant=tenant,
            user=user,
            emit=discard if emit is None else _placed(emit),
            record=self._analytics.recorder(turn_id, trace) if self._delivery.queues else forget,
            streaming=emit is not None,
            pipeline=self.program.name,
            metadata=request.metadata,
            request=request,
            trace=trace,
        )

    def _generation(self, program: Program) -> Generation:
        return Generation(
            program,
            self._live,
            self._locks,
            self._analytics,
            self._clock,
            self._memory,
            answering=self._answering,
        )

    def _queues(self, generation: Generation) -> list[ExporterQueue]:
        """The queue of each exporter; of one that is delivered to already, the same."""
        known = {id(queue.exporter): queue for queue in self._delivery.queues}
        return [
            known.get(id(exporter))
            or ExporterQueue(
                node,
                exporter,
                letters=self._letters,
                clock=self._clock,
                random=self._random,
                report=self._report,
            )
            for node, exporter in generation.exporters().values()
        ]

    async def _retire(self, old: Generation, ending: Delivery) -> None:
        await old.flight.landed()
        await _flush(ending)
        await old.close()

    def _must_be_open(self) -> None:
        if not self._open:
            raise Refused("the orchestrator is not open", hint="use it inside `async with`")

    def _deliver(self, event: Event) -> None:
        if self._open or self._delivery.queues:
            self._delivery.put(event)
        else:
            self._early.append(event)

    def _report(self, node: str, message: str, data: Mapping[str, Any]) -> None:
        if self._analytics.report(node, message, data):
            logger.warning("%s: %s", node, message)

    async def _close(self) -> None:
        self._open = False
        await self._current.flight.drain()
        if retiring := tuple(self._retiring):
            _, late = await asyncio.wait(retiring, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*retiring, return_exceptions=True)
        await self._current.pipelines.close()
        await _flush(self._delivery)
        await self._letters.close()
        await self._current.close()


def _placed(emit: Emit) -> Emit:
    """The caller's `emit`; what it raises is the caller's, and no component's, error."""

    async def pass_on(delta: Delta) -> None:
        try:
            await emit(delta)
        except BaseException as error:
            if not is_fault(error):
                raise
            raise EmitError(f"the reply cannot be streamed to the caller: {describe(error)}") from error

    return pass_on


async def _flush(delivery: Delivery) -> None:
    for node, lost in (await delivery.close()).items():
        logger.warning("%s: %d events are lost", node, lost)
