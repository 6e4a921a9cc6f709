"""Runs an admitted turn: its arms and plan, its session's lock and history, its pipeline, its place in the session."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from victor_dsl.errors import RequestError
from victor_dsl.graph.plan import Plan, Program
from victor_dsl.runtime.arms import assign_arms, unit_of
from victor_dsl.runtime.boundary import component_error, is_fault
from victor_dsl.runtime.coordinators.analytics import AnalyticsCoordinator
from victor_dsl.runtime.pipeline import Pipeline
from victor_dsl.runtime.pipelines import Pipelines
from victor_dsl.runtime.sessions import SessionLocks
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.turn import Turn


@frozen(eq=False)
class Runner:
    """Runs turns of one program."""

    program: Program
    pipelines: Pipelines
    analytics: AnalyticsCoordinator
    locks: SessionLocks

    async def run(self, turn: Turn) -> Reply:
        """The reply; where the turn belongs to a session, its messages are appended there, whole or not at all."""
        turn, plan = self.planned(turn)
        if not belongs_to_session(turn):
            return await self._run(turn, plan)
        async with self.locks.hold((turn.tenant, turn.session)):
            return await self._run(turn, plan)

    def planned(self, turn: Turn) -> tuple[Turn, Plan]:
        """The turn with its arms, and its plan; both are noted in its trace."""
        arms = assign_arms(self.program, turn)
        plan = self.program.plan_for(turn.tenant, arms)
        trace = turn.trace
        trace.tenant, trace.user, trace.arms, trace.plan = turn.tenant, turn.user, arms, plan.digest
        return turn.replace(arms=arms, plan=plan.digest), plan

    async def _run(self, turn: Turn, plan: Plan) -> Reply:
        pipeline = await self.pipelines.take(plan)
        try:
            if turn.arms:
                self._expose(turn)
            turn = await with_messages(turn, pipeline)
            turn.trace.exchange = turn.messages[-1:]
            reply = await pipeline.answer(turn)
            if belongs_to_session(turn):
                messages = (*turn.trace.exchange, *_closed(reply.message))
                try:
                    await pipeline.sessions.append(turn.tenant, turn.session, turn.id, messages)
                except BaseException as error:
                    if not is_fault(error):
                        raise
                    raise component_error(error, plan.roles.sessions) from error
            return reply
        finally:
            self.pipelines.give_back(plan)

    def _expose(self, turn: Turn) -> None:
        for experiment in self.program.experiments:
            arm = turn.arms.get(experiment.name)
            if arm is None or experiment.name in turn.request.arms:
                continue  # an arm that was forced says nothing about the unit
            unit = unit_of(experiment, turn)
            if unit is not None and self.analytics.first_exposure(experiment.name, unit):
                turn.record("exposure", {"experiment": experiment.name, "arm": arm})


def belongs_to_session(turn: Turn) -> bool:
    """Whether history is read and written: a request that names no session, or is a whole conversation, has none."""
    return turn.request.messages is None and turn.request.session is not None


async def with_messages(turn: Turn, pipeline: Pipeline) -> Turn:
    """The turn with its conversation: the request's own, or the session's history and the new message."""
    request = turn.request
    if request.messages is not None:
        if any(message.role == "system" for message in request.messages):
            system = tuple(message for message in request.messages if message.role == "system")
            others = tuple(message for message in request.messages if message.role != "system")
            return turn.replace(messages=others, system_messages=system)
        return turn.replace(messages=request.messages)
    if request.message is None:
        raise RequestError("a request has either 'message' or 'messages'")
    new = Message("user", request.message)
    if not belongs_to_session(turn):
        return turn.replace(messages=(new,))
    try:
        history = await pipeline.sessions.load(turn.tenant, turn.session, turn.id)
        return turn.replace(messages=(*history, new))
    except BaseException as error:
        if not is_fault(error):
            raise
        raise component_error(error, pipeline.plan.roles.sessions) from error


def _closed(message: Message) -> Sequence[Message]:
    """The reply, with a result for each call that it leaves to the caller: a session holds no open calls."""
    results = (
        Message("tool", "(The caller has this call.)", tool_call_id=call.id, name=call.name)
        for call in message.tool_calls
    )
    return (message, *results)
