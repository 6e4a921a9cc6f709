"""The orchestrator: opens a compiled spec, and answers and renders requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Literal, Self, cast

from attrs import evolve

from victor_dsl.errors import ComponentError, EmitError, Refused, UsageError, VictorError
from victor_dsl.graph.plan import Node, Program
from victor_dsl.language.boundary import component_error, describe, internal_error, is_fault
from victor_dsl.language.component import Clock
from victor_dsl.language.config import ExporterConfig
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.coordinators.analytics import AnalyticsCoordinator, error_data, event_ids, turn_data
from victor_dsl.runtime.coordinators.compaction_memory import CompactionMemory
from victor_dsl.runtime.coordinators.context import ContextMemory
from victor_dsl.runtime.delivery import Delivery
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.journal import NODE as JOURNAL
from victor_dsl.runtime.delivery.journal import Journal, journal_root
from victor_dsl.runtime.delivery.journal_records import TurnStart
from victor_dsl.runtime.delivery.queue import ExporterQueue
from victor_dsl.runtime.delivery.users import KEY_FILE, Pseudonyms, as_they_are
from victor_dsl.runtime.generation import Generation, Shared
from victor_dsl.runtime.nodes import LiveNodes, SystemClock, Waiting
from victor_dsl.runtime.rendering import RenderedRequests, render
from victor_dsl.runtime.reply_stream import Pieces, ReplyStream
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.local_key import local_key
from victor_dsl.storage.permissions import exposure
from victor_dsl.values.event import Contents, Event, Outcome, uuid7
from victor_dsl.values.message import NO_MESSAGE, Delta, Reply, StopReason
from victor_dsl.values.outcome import Rendered
from victor_dsl.values.request import API_KEY, Request, check_request, request_of
from victor_dsl.values.turn import Emit, Record, Trace, Turn, discard, forget

logger = logging.getLogger("victor_dsl")


class Orchestrator:
    """Answers and renders requests; `victor_dsl.open` opens it.

        async with victor_dsl.open("victor.yml") as app:
            reply = await app.chat("Hello!")

    Used without `open`, it runs a program inside `async with`, and can be opened once.

    With `answering=False` it only renders: no model, exporter or admission is opened. Plans other than the base plan
    are opened when a turn first needs them. Orchestrators with the same `nodes` share live objects, and nothing that they
    remember of turns.
    """

    def __init__(
        self,
        program: Program,
        *,
        registry: Registry | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
        answering: bool = True,
        nodes: LiveNodes | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._random = random or Random()  # noqa: S311 - jitter
        self._analytics = AnalyticsCoordinator(program.name, self._clock, self._deliver)
        self._nodes = nodes or LiveNodes(
            registry, self._report, clock=self._clock, random=self._random, answering=answering
        )
        memory = ContextMemory(compactions=CompactionMemory(of_renders=not answering))
        self._shared = Shared(
            self._nodes, self._analytics, self._clock, answering, memory, random=self._random, report=self._report
        )
        self._current = Generation(program, self._shared)
        self._rendered = RenderedRequests()
        self._delivery = Delivery(())
        self._letters = DeadLetters(program.state)
        self._early: list[Event] = []  # reported while the first program opens, before there are exporters
        self._state: Literal["new", "opening", "open", "closed"] = "new"
        self._reloading = asyncio.Lock()
        self._opening: asyncio.Task[None] | None = None  # the generation that a reload opens
        self._streams: dict[asyncio.Task[Reply], Pieces] = {}
        self._retiring: dict[Generation, asyncio.Task[None]] = {}

    @property
    def program(self) -> Program:
        """The program that new turns run on."""
        return self._current.program

    def waiting(self) -> list[Waiting]:
        """The nodes that open or close at the moment, the longest first."""
        return self._nodes.waiting()

    async def __aenter__(self) -> Self:
        """Opens the base plan. Raises ComponentError or SecretError, and then nothing stays open."""
        if self._state != "new":
            raise UsageError("an orchestrator can be opened once; make another one")
        self._state = "opening"
        try:
            await self._current.open()
            if (state := self.program.state).is_dir() and (problem := exposure(state, str(state), private=False)):
                logger.warning("%s", problem)
            journal, queues = await self._open_journal(self._current)
            self._delivery = Delivery(
                queues,
                report=self._report,
                interrupted=self._analytics.interrupted,
            )
            self._delivery.open()
            if journal is not None:
                await self._delivery.use(journal)
        except BaseException:
            await to_the_end(self._close())
            raise
        for event in self._early:
            self._delivery.put(event)
        self._early.clear()
        self._state = "open"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets running turns finish, delivers all events, and closes each node after those that need it."""
        await to_the_end(self._close())

    async def answer(self, request: Request, emit: Emit | None = None, *, api_key: str | None = None) -> Reply:
        """The reply to a request, with any error in it.

            reply = await app.answer(victor_dsl.Request(message="Hello!", tenant="acme"), api_key="vk_…")
            print(reply.text if reply.error is None else reply.error)

        `emit` gets the pieces of the reply as they come, and `auth` the `api_key`.
        """
        self._must_be_open()
        if not self._shared.answering:
            raise UsageError("this orchestrator only renders; open it with answering=True")
        _check_arguments(request, emit)
        if api_key is not None:
            request = evolve(request, metadata={**request.metadata, API_KEY: api_key})
        generation = self._current
        turn = self._turn(request, emit, trusted=generation.trusts_callers)
        generation.begin(turn)
        try:
            return await self._answer(generation, turn)
        finally:
            generation.end(turn)

    async def chat(
        self,
        message: str | Request,
        *,
        session_id: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
        api_key: str | None = None,
        vars: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        emit: Emit | None = None,
    ) -> Reply:
        """The reply to a message in a session.

            reply = await app.chat("Hello!", session_id="s1")
            print(reply.text)

        `api_key` is for `auth`. Raises what `answer` returns as `error`.
        """
        request = request_of(
            message, session=session_id, tenant=tenant, user=user, vars=vars, inputs=inputs, settings=settings
        )
        reply = await self.answer(request, emit, api_key=api_key)
        if reply.error is not None:
            raise reply.error
        return reply

    def stream(
        self,
        message: str | Request,
        *,
        session_id: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
        api_key: str | None = None,
        vars: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> ReplyStream:
        """The reply to a message in pieces, for `async for`.

            async for piece in app.stream("Hello!", session_id="s1"):
                print(piece, end="", flush=True)

        After the loop, the stream's `reply` is the whole reply. Leaving the loop earlier cancels the turn.
        """
        request = request_of(
            message, session=session_id, tenant=tenant, user=user, vars=vars, inputs=inputs, settings=settings
        )
        return ReplyStream(lambda emit: self.answer(request, emit, api_key=api_key), self._streams)

    async def reload(self, program: Program) -> None:
        """Runs new turns on another program; running turns finish on the program that they began with.

        Nodes that both programs have stay open. Raises ComponentError or SecretError if the new program cannot be
        opened; the old one then goes on. A `reload` event tells the result. Raises Refused if the orchestrator is
        closed meanwhile.
        """
        async with self._reloading:
            self._must_be_open()
            old, new = self._current, Generation(program, self._shared)
            self._opening = asyncio.create_task(new.open(), name="opening of a program")
            try:
                await self._opening
            except BaseException as error:
                await to_the_end(_cancelled(self._opening))
                if is_fault(error):
                    self._must_be_open()
                self.refuse(error if isinstance(error, VictorError) else ComponentError("it cannot be opened"))
                raise
            finally:
                self._opening = None
            if (journal := self._delivery.journal) is None:
                journal, queues = await self._open_journal(new)
                if journal is not None:
                    await self._delivery.use(journal)
            else:
                queues = self._queues(new, journal)
            self._current = new
            self._analytics.pipeline = program.name
            if self._delivery.journal is not None:
                self._delivery.journal.policy = program.journal
            leaving = self._delivery.replace(queues)
            self._analytics.record_outside_turns(
                "reload", {"ok": True, "plan": new.base.digest, "before": old.base.digest}
            )
            self._retiring[old] = asyncio.create_task(self._retire(old, leaving), name="retirement of a program")

    def refuse(self, error: VictorError) -> None:
        """Records that a new program is not put into force: a `reload` event, and an `error` event with the reason."""
        data, plan = error_data(error), self._current.base.digest
        self._analytics.record_outside_turns("reload", {"ok": False, "plan": plan, "error": data["code"]})
        self._analytics.record_outside_turns("error", {**data, "message": error.message, "plan": plan})

    async def render(
        self,
        message: str | Request,
        *,
        session_id: str | None = None,
        tenant: str | None = None,
        user: str | None = None,
        vars: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        explains: bool = True,
    ) -> Rendered:
        """What the model would be sent.

            rendered = await app.render("Hello!", tenant="acme")
            print(rendered.system)

        No model is called, nothing is admitted, counted or written. Without `explains`, origins and the reasons of compaction
        are left out.
        """
        request = request_of(
            message, session=session_id, tenant=tenant, user=user, vars=vars, inputs=inputs, settings=settings
        )
        self._must_be_open()
        generation = self._current
        turn = self._turn(request, None, trusted=True, renders=True)
        generation.begin(turn)
        try:
            return await render(turn, generation, self._rendered, explains=explains)
        finally:
            generation.end(turn)

    async def _answer(self, generation: Generation, turn: Turn) -> Reply:
        started = self._clock.monotonic()
        request, trace = turn.request, turn.trace
        failure: VictorError | None = None
        reply: Reply | None = None
        try:
            check_request(request)
            if (journal := self._delivery.journal) is not None:
                if journal.is_full:
                    journalled = turn.record
                    turn = turn.replace(record=self._recorder(turn.id, trace, self._delivery.put_in_memory))
                    await self._delivery.wait_for_room()
                    turn = turn.replace(record=journalled)
                if turn.record is not forget:
                    self._begin(turn)
            reply = await generation.handler(turn)
        except BaseException as error:
            if not is_fault(error):
                latency_ms = (self._clock.monotonic() - started) * 1000
                turn.record("error", {"code": "cancelled", "node": None})
                self._record(turn, latency_ms, "cancelled", "cancelled", "cancelled")
                raise
            failure = component_error(error)
        latency_ms = (self._clock.monotonic() - started) * 1000
        stop_reason: StopReason = "error" if reply is None else reply.stop_reason
        if failure is None:
            self._record(turn, latency_ms, stop_reason, "answered", None)
        else:
            data = error_data(failure)
            turn.record("error", data)
            outcome: Outcome = "refused" if isinstance(failure, Refused) else "failed"
            self._record(turn, latency_ms, stop_reason, outcome, data["code"])
        await self._delivery.synced()
        return Reply(
            NO_MESSAGE if reply is None else reply.message,
            trace.usage,
            stop_reason,
            None if reply is None else reply.response_model,
            trace.model if reply is None else reply.model or trace.model,
            id=turn.id if request.id is None else request.id,
            session=trace.session,
            tenant=trace.tenant,
            variants=trace.arms,
            latency_ms=latency_ms,
            plan=trace.plan,
            error=failure,
            exchange=trace.exchange,
        )

    def _record(
        self, turn: Turn, latency_ms: float, stop_reason: StopReason, outcome: Outcome, error: str | None
    ) -> None:
        """Records the turn, and what it was asked where an exporter wants that."""
        trace = turn.trace
        if self._delivery.wants_contents:
            trace.contents = Contents(turn.request, trace.user, tuple(trace.conversation))
        turn.record("turn", turn_data(trace, latency_ms, stop_reason, outcome, error))
        self._delivery.flush()

    def _begin(self, turn: Turn) -> None:
        """Writes into the journal that the turn begins."""
        request, id = turn.request, event_ids(turn.id)("turn", 0)
        start = TurnStart(
            event_id=id,
            turn_id=turn.id,
            timestamp=self._clock.now(),
            session=turn.session,
            tenant=turn.tenant,
            pipeline=self._analytics.pipeline,
            resumable=request.turn_id is not None,
        )
        self._delivery.begin(start)

    def _recorder(self, turn_id: str, trace: Trace, deliver: Callable[[Event], None] | None = None) -> Record:
        """The function that a turn records its events with. A turn that is repeated goes on where its process died."""
        if not self._delivery.queues:
            return forget
        if (left := self._delivery.repeatable.pop(turn_id, None)) is None:
            return self._analytics.recorder(turn_id, trace, deliver=deliver)
        trace.usage = left.usage
        return self._analytics.recorder(turn_id, trace, before=left.counts, deliver=deliver)

    def _turn(self, request: Request, emit: Emit | None, *, trusted: bool, renders: bool = False) -> Turn:
        """The turn of a request. One without a session is a session of its own, under its id.

        Where the caller is not trusted, tenant and user are ignored until `auth` sets them, also in events. What is not text is
        ignored, too: the request is refused, and exporters rely on the types of its events.
        """
        turn_id = _text(request.turn_id) or uuid7(self._clock.now())
        session = _text(request.session) or (turn_id if request.id is None else str(request.id))
        tenant, user = (_text(request.tenant), _text(request.user)) if trusted else (None, None)
        trace = Trace(session, tenant, user)
        return Turn(
            id=turn_id,
            session=session,
            messages=(),
            tenant=tenant,
            user=user,
            emit=discard if emit is None else _placed(emit),
            record=forget if renders else self._recorder(turn_id, trace),
            streaming=emit is not None,
            pipeline=self.program.name,
            metadata=request.metadata,
            request=request,
            trace=trace,
        )

    def _queues(self, generation: Generation, journal: Journal | None) -> list[ExporterQueue]:
        """The queue of each exporter; one that has a queue already keeps it. Raises OSError where the journal has no room for them."""
        present = {id(queue.exporter): queue for queue in self._delivery.queues}
        if journal is not None:
            for queue in present.values():
                queue.use(journal.feed(queue.node))
        return [
            present.get(id(exporter))
            or ExporterQueue(
                node,
                exporter,
                letters=self._letters,
                clock=self._clock,
                random=self._random,
                report=self._report,
                feed=None if journal is None else journal.feed(node.id),
                moved=self._moved,
                users=self._users(generation.program, node),
            )
            for node, exporter in generation.exporters
        ]

    def _users(self, program: Program, node: Node) -> Callable[[Event], Event]:
        """What makes pseudonyms of users for an exporter. Raises SecretError where its key is missing."""
        config = cast("ExporterConfig", node.config)
        if config.store_user:
            return as_they_are
        if config.user_key is None:
            return Pseudonyms(partial(local_key, program.state / KEY_FILE))
        key = self._nodes.secret(node, program, config.user_key).encode()
        return Pseudonyms(lambda: key)

    def _moved(self) -> None:
        self._delivery.moved()

    async def _open_journal(self, generation: Generation) -> tuple[Journal | None, list[ExporterQueue]]:
        """The journal, and the queues of all exporters; None where no exporter reads it, or it cannot be written."""
        if not generation.exporters:
            return None, []
        program = generation.program
        root = journal_root(program.state, program.name, program.file)
        journal: Journal | None = None
        try:
            journal = await asyncio.to_thread(Journal, root, program.journal, self._clock)
            return journal, self._queues(generation, journal)
        except OSError as error:
            if journal is not None:
                await journal.discard()
            message = f"there is no journal, and events are kept in memory only: {error.strerror or error}"
            self._report(JOURNAL, message, {"code": "journal"})
            return None, self._queues(generation, None)

    async def _retire(self, old: Generation, leaving: Delivery) -> None:
        try:
            await old.quiet()
            await _flush(leaving)
            await old.close()
        except Exception as error:  # noqa: BLE001 - nobody awaits this task while the orchestrator is open
            internal_error(error)
        finally:
            del self._retiring[old]

    def _must_be_open(self) -> None:
        if self._state != "open":
            raise Refused("the orchestrator is not open", hint="use it inside `async with`")

    def _deliver(self, event: Event) -> None:
        if self._state == "opening":
            self._early.append(event)
        else:
            self._delivery.put(event)

    def _report(self, node: str, message: str, data: Mapping[str, Any]) -> None:
        if self._analytics.report(node, message, data):
            logger.warning("%s: %s", node, message)

    async def _close(self) -> None:
        self._state = "closed"
        for pieces in self._streams.values():
            pieces.lift_bound()  # nobody may read them any more, and their turns shall end
        if self._opening is not None:
            self._opening.cancel()
        async with self._reloading:  # a reload that was under way has closed what it opened
            pass
        await asyncio.gather(*(generation.stop() for generation in (self._current, *self._retiring)))
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        # The exporters last: what the others report while they close is an event, too.
        await self._current.pipelines.close()
        await _flush(self._delivery)
        await self._letters.close()
        await self._current.close()


def _check_arguments(request: Any, emit: Any) -> None:
    """Raises UsageError for what is no Request or no function."""
    if not isinstance(request, Request):
        kind = type(request).__name__
        raise UsageError(f"answer takes a Request, not {kind}", hint="for a message use `app.chat(…)`")
    if emit is not None and not callable(emit):
        raise UsageError(f"emit must be an async function, not {type(emit).__name__}")


def _placed(emit: Emit) -> Emit:
    """The caller's `emit`. What it raises becomes an EmitError, so that the error is not attributed to a component."""

    async def pass_on(delta: Delta) -> None:
        try:
            waiting: Awaitable[None] | None = emit(delta)
            if waiting is None:
                raise TypeError("emit must be an async function")
            await waiting
        except BaseException as error:
            if not is_fault(error):
                raise
            raise EmitError(f"the reply cannot be streamed to the caller: {describe(error)}") from error

    return pass_on


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancels the task if it still runs, and waits for its end."""
    task.cancel()
    await asyncio.wait([task])


async def _flush(delivery: Delivery) -> None:
    for node, lost in (await delivery.close()).items():
        logger.warning("%s: events lost: %d", node, lost)
    for queue in delivery.queues:
        if queue.left_behind:
            logger.warning(
                "%s: events not delivered yet: %d; they are sent at the next start", queue.node, queue.left_behind
            )


def _text(given: str | None) -> str | None:
    return given if isinstance(given, str) else None
