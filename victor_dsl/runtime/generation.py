"""One program, open: it gives each turn its arms, plan and history. The orchestrator swaps it whole on a reload."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from operator import attrgetter
from random import Random
from typing import Any, cast

from attrs import field, frozen

from victor_dsl.errors import RequestError
from victor_dsl.experiments.assignment import Experiment, assign
from victor_dsl.graph.plan import Node, Plan, Program
from victor_dsl.language.boundary import component_error, internal_error, is_unforeseen
from victor_dsl.language.component import Clock
from victor_dsl.language.config import SessionConfig
from victor_dsl.nearest import suggest
from victor_dsl.runtime.coordinators.analytics import AnalyticsCoordinator, error_data
from victor_dsl.runtime.coordinators.context import ContextMemory
from victor_dsl.runtime.coordinators.provider_layers import ProviderMemory
from victor_dsl.runtime.lease import Leases
from victor_dsl.runtime.middleware import chain
from victor_dsl.runtime.nodes import LiveNodes
from victor_dsl.runtime.pipeline import Pipeline, path_nodes
from victor_dsl.runtime.retried_sessions import RetriedSessions
from victor_dsl.storage.ending import to_the_end
from victor_dsl.values.event import uuid7
from victor_dsl.values.message import NO_MESSAGE, Message, Reply
from victor_dsl.values.request import API_KEY
from victor_dsl.values.turn import Handler, Turn

logger = logging.getLogger("victor_dsl")

IDLE_PLANS = 256
"""How many plans stay open without a turn."""

DRAIN_SECONDS = 30.0
"""How long closing waits for running turns before it cancels them."""

FAILED_HERE = "[the turn failed here]"
"""The assistant's message that ends a failed turn in a session's history."""

CANCEL_SECONDS = 10.0
"""How long closing waits for cancelled turns before it goes on without them."""


class SessionLock:
    """Lets one turn of a session run at a time, in the order in which they came."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.lock = asyncio.Lock()


@frozen(eq=False)
class Shared:
    """What the generations of an orchestrator share: live nodes, session locks, and the memory of earlier turns."""

    nodes: LiveNodes
    analytics: AnalyticsCoordinator
    clock: Clock
    answering: bool = True
    memory: ContextMemory = field(factory=ContextMemory)
    provided: ProviderMemory = field(factory=ProviderMemory)
    random: Random = field(factory=Random)
    report: Callable[[str, str, Mapping[str, Any]], None] = lambda *_: None
    sessions: Leases[SessionLock] = field(factory=lambda: Leases(lambda _: SessionLock()))


class Generation:
    """A program with its base plan open, the pipelines of its other plans, and the turns that run on it.

    `trusts_callers` is true where the spec has no `auth` that would check who they are.
    """

    def __init__(self, program: Program, shared: Shared) -> None:
        self.program = program
        self.base = program.plan_for(None, {})
        self.trusts_callers = not self.base.roles.admission
        sessions = cast("SessionConfig", self.base.by_id[self.base.roles.sessions].config)
        self._sessions_have_users = not self.trusts_callers and not sessions.shared
        self.pipelines = Leases[Pipeline](self._open_pipeline, idle=IDLE_PLANS)
        self.exporters: tuple[tuple[Node, Any], ...] = ()
        self.handler: Handler = self._run
        self._auth: tuple[str, Any] | None = None
        self._shared = shared
        self._open = AsyncExitStack()
        self._turns: dict[Turn, asyncio.Task[Any]] = {}
        self._quiet = asyncio.Event()

    async def open(self) -> None:
        """Opens the base plan. Raises ComponentError or SecretError, and then leaves nothing open."""
        try:
            if self._shared.answering:
                objects = await self._open.enter_async_context(self._shared.nodes.open(self.base.nodes, self.program))
                roles = self.base.roles
                admission = [(id, objects[id]) for id in roles.admission]
                self.handler = chain(admission, self._run)
                self._auth = admission[-1] if admission else None
                self.exporters = tuple((self.base.by_id[id], objects[id]) for id in roles.exporters)
            await self.pipelines.take(self.base)
        except BaseException:
            await to_the_end(self.close())
            raise

    async def close(self) -> None:
        """Closes the pipelines, then the base plan. The turns have ended before."""
        await self.pipelines.close()
        await self._open.aclose()

    def begin(self, turn: Turn) -> None:
        """Counts a turn as running, in the current task."""
        task = asyncio.current_task()
        assert task is not None, "a turn runs inside a task"
        self._turns[turn] = task

    def end(self, turn: Turn) -> None:
        """Counts a turn as ended."""
        self._turns.pop(turn, None)
        if not self._turns:
            self._quiet.set()

    async def quiet(self) -> None:
        """Waits until no turn runs."""
        while self._turns:
            self._quiet.clear()
            await self._quiet.wait()

    async def stop(self) -> None:
        """Waits for the running turns, cancels those that take too long, and abandons those that still do not end."""
        for seconds in (DRAIN_SECONDS, CANCEL_SECONDS):
            try:
                async with asyncio.timeout(seconds):
                    return await self.quiet()
            except TimeoutError:
                for task in set(self._turns.values()):
                    task.cancel()
        logger.warning("turns that ignore their cancellation: %d; closing their resources", len(self._turns))
        self._turns.clear()
        self._quiet.set()
        return None

    async def identified(self, turn: Turn) -> Turn:
        """The turn with the tenant and user of its API key. As it is where it has no key, or nothing checks one.

        Raises what `auth` raises.
        """
        if self._auth is None or API_KEY not in turn.metadata:
            return turn
        found = turn

        async def keep(known: Turn) -> Reply:
            nonlocal found
            found = known
            return Reply(NO_MESSAGE)

        await chain([self._auth], keep)(turn)
        return found

    async def planned(self, turn: Turn) -> tuple[Turn, Plan]:
        """The turn with its arms, and its plan; its trace has both. Raises RequestError for a forced arm."""
        if self._sessions_have_users:
            turn = turn.replace(session_user=turn.user)
        arms = arms_of(self.program, turn)
        plan = self.program.cached_plan(turn.tenant, arms)
        if plan is None:  # a millisecond or more of work
            plan = await asyncio.to_thread(self.program.plan_for, turn.tenant, arms)
        trace = turn.trace
        trace.tenant, trace.user, trace.arms, trace.plan = turn.tenant, turn.user, arms, plan.digest
        return turn.replace(arms=arms, plan=plan.digest), plan

    async def _run(self, turn: Turn) -> Reply:
        """The reply; where the turn belongs to a session, its messages are appended there.

        A turn that fails adds nothing, unless it has called tools.
        """
        turn, plan = await self.planned(turn)
        if not belongs_to_session(turn):
            return await self._answer(turn, plan)
        session = await self._shared.sessions.take(turn.session_key)
        try:
            async with session.resource.lock:
                return await self._answer(turn, plan)
        finally:
            self._shared.sessions.end(session)

    async def _answer(self, turn: Turn, plan: Plan) -> Reply:
        lease = await self.pipelines.take(plan)
        try:
            pipeline = lease.resource
            if turn.arms:
                self._expose(turn)
            turn = await with_messages(turn, pipeline)
            turn.trace.conversation = turn.request.messages or turn.messages
            turn.trace.exchange = turn.messages[-1:]
            try:
                reply = await pipeline.answer(turn)
            except BaseException:
                if turn.trace.ran_tools and belongs_to_session(turn):
                    await to_the_end(self._remember_failed(turn, pipeline))
                raise
            if belongs_to_session(turn):
                await _append(turn, turn.id, (*turn.trace.exchange, *_closed(reply.message)), pipeline)
            return reply
        finally:
            self.pipelines.end(lease)

    async def _remember_failed(self, turn: Turn, pipeline: Pipeline) -> None:
        """Appends what a failed turn did, so that its tools are not called again for the same purpose.

        It is stored beside the turn, not as the turn: another try with the turn's id finds it in its history, and is stored.
        """
        id = f"{turn.id}/failed/{uuid7(self._shared.clock.now())}"
        try:
            await _append(turn, id, (*turn.trace.exchange, Message("assistant", FAILED_HERE)), pipeline)
        except Exception as error:  # noqa: BLE001 - the turn has an error already
            turn.record("error", error_data(component_error(error)))

    def _expose(self, turn: Turn) -> None:
        for experiment in self.program.experiments:
            arm = turn.arms.get(experiment.name)
            if arm is None or experiment.name in turn.request.arms:
                continue  # a forced arm says nothing about the unit
            unit = _unit(experiment, turn)
            if unit is not None:
                self._shared.analytics.expose(turn.trace, experiment.name, unit, arm)

    @asynccontextmanager
    async def _open_pipeline(self, plan: Plan) -> AsyncIterator[Pipeline]:
        nodes = self._shared.nodes
        memory = self._shared.memory
        models = await memory.estimates.windows(plan)
        async with nodes.open(path_nodes(plan, answering=self._shared.answering), self.program) as objects:
            try:
                sessions = self._sessions(plan, objects)
                shared = self._shared
                pipeline = Pipeline(
                    plan, objects, shared.clock, memory, models, shared.provided, sessions, self.program.lock
                )
            except Exception as error:
                if not is_unforeseen(error):
                    raise
                raise internal_error(error) from error
            yield pipeline

    def _sessions(self, plan: Plan, objects: Mapping[str, Any]) -> RetriedSessions:
        node, shared = plan.by_id[plan.roles.sessions], self._shared
        seconds = cast("SessionConfig", node.config).retry_seconds
        report = partial(shared.report, node.id)
        return RetriedSessions(objects[node.id], seconds, shared.clock, shared.random, report)


def arms_of(program: Program, turn: Turn) -> dict[str, str]:
    """The turn's arm by experiment: the one that the request forces, else its unit's.

    An experiment is left out where it does not run, the tenant has opted out, or the turn has no such unit.
    Raises RequestError for a forced arm that does not exist.
    """
    forced = turn.request.arms
    if forced:
        _check_arms(forced, program.experiments)
    arms: dict[str, str] = {}
    if not program.experiments:
        return arms
    opted_out = program.opted_out.get(turn.tenant or "", frozenset())
    for experiment in program.experiments:
        if experiment.name in forced:
            arms[experiment.name] = forced[experiment.name]
        elif experiment.name not in opted_out and (unit := _unit(experiment, turn)) is not None:
            arm = assign(experiment, unit)
            if arm is not None:
                arms[experiment.name] = arm
    return arms


def _unit(experiment: Experiment, turn: Turn) -> str | None:
    """The turn's unit id: session, user or tenant; None if the turn has none. Equal session ids of two users are two units."""
    if experiment.unit == "session" and turn.session_user is not None:
        return f"{turn.session_user}/{turn.session}"
    return {"session": turn.session, "user": turn.user, "tenant": turn.tenant}[experiment.unit]


def _check_arms(forced: Mapping[str, str], experiments: tuple[Experiment, ...]) -> None:
    by_name = {experiment.name: experiment for experiment in experiments}
    for name, arm in forced.items():
        if name not in by_name:
            raise RequestError(f"arms.{name}: there is no such experiment; {suggest(name, by_name)}")
        if arm not in by_name[name].arms:
            raise RequestError(f"arms.{name}: the experiment has no arm '{arm}'; {suggest(arm, by_name[name].arms)}")


def belongs_to_session(turn: Turn) -> bool:
    """Whether history is read and written: a request that names no session, or is a whole conversation, has none."""
    return turn.request.messages is None and turn.request.session is not None


_role = attrgetter("role")


async def with_messages(turn: Turn, pipeline: Pipeline) -> Turn:
    """The turn with its conversation: the request's own, or the session's history and the new message."""
    request = turn.request
    if request.messages is not None:
        if "system" not in map(_role, request.messages):
            return turn.replace(messages=request.messages)
        system = tuple(message for message in request.messages if message.role == "system")
        others = tuple(message for message in request.messages if message.role != "system")
        if not others:
            raise RequestError("messages: all are system messages, so there is nothing to answer; add a user message")
        return turn.replace(messages=others, system_messages=system)
    if request.message is None:
        raise RequestError("a request has either 'message' or 'messages'")
    new = Message("user", request.message)
    if not belongs_to_session(turn):
        return turn.replace(messages=(new,))
    try:
        history = await pipeline.sessions.load(turn.tenant, turn.session, turn.id, user=turn.session_user)
        return turn.replace(messages=(*history, new))
    except BaseException as error:
        if not is_unforeseen(error):
            raise
        raise internal_error(error, pipeline.plan.roles.sessions) from error


async def _append(turn: Turn, id: str, messages: Sequence[Message], pipeline: Pipeline) -> None:
    try:
        await pipeline.sessions.append(turn.tenant, turn.session, id, messages, user=turn.session_user)
    except BaseException as error:
        if not is_unforeseen(error):
            raise
        raise internal_error(error, pipeline.plan.roles.sessions) from error


def _closed(message: Message) -> Sequence[Message]:
    """The reply, with a result for each call that is left to the caller: a session has no open calls."""
    results = (
        Message("tool", "(The caller has this call.)", tool_call_id=call.id, name=call.name)
        for call in message.tool_calls
    )
    return (message, *results)
