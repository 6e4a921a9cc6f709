"""One member of a pool: whether it can be called, and the bookkeeping around its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager

from attrs import define, evolve, frozen

from victor_dsl.components.circuits import Circuit, CircuitConfig, report_change
from victor_dsl.components.usage_buckets import Buckets, Demand
from victor_dsl.errors import ModelError
from victor_dsl.language.component import Clock
from victor_dsl.language.kinds import Model
from victor_dsl.values.event import uuid7
from victor_dsl.values.message import NO_USAGE, Usage, messages_tokens
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import tools_tokens
from victor_dsl.values.turn import Turn

ANSWER_TOKENS = 512
"""Reserved for an answer if `settings.max_tokens` is not set."""

MAX_STATES = 10_000
"""For how many members, over all overlays and reloads, the state is stored; beyond that, the oldest is dropped."""


@define
class MemberState:
    """What outlives the live object: the circuit, and the number of calls that run."""

    circuit: Circuit
    running: int = 0


@frozen
class Unavailable:
    """Why a member cannot be called now; `wait_s` is how long, where that is known."""

    reason: str
    wait_s: float | None
    is_limit: bool


@define
class Call:
    """A call of a member that may begin. `usage` is what it used."""

    demand: Demand
    usage: Usage = NO_USAGE


@frozen(eq=False)
class Member:
    """A member's live object, with its limits, circuit and counters. `limits` is what each call asks of the buckets.

    `key` identifies the circuit and counters: an overlay's other model of the same name has its own.
    """

    name: str
    key: str
    live: Model
    weight: float
    limits: Demand
    circuit: CircuitConfig
    buckets: Buckets
    states: MutableMapping[str, MemberState]
    clock: Clock

    @property
    def node(self) -> str:
        """The id of its node."""
        return f"models/{self.name}"

    @property
    def state(self) -> MemberState:
        """Its circuit and counter."""
        if self.key not in self.states:
            if len(self.states) >= MAX_STATES:
                del self.states[next(iter(self.states))]
            self.states[self.key] = MemberState(Circuit())
        return self.states[self.key]

    @property
    def busy(self) -> float:
        """How many calls run, in proportion to its weight."""
        return self.state.running / self.weight

    async def reserve(self, turn: Turn) -> Call | Unavailable:
        """A call that is within its limits, or why there can be none."""
        if wait_s := self.state.circuit.wait_s(self.clock.monotonic()):
            return Unavailable(f"its last calls failed ({self.state.circuit.last_kind})", wait_s, is_limit=False)
        most = self.limits.tokens_per_minute
        demand = evolve(self.limits, lease=uuid7(), tokens=0.0 if most is None else min(_estimate(turn), most))
        verdict = await self.buckets.take(self.key, demand)
        if verdict.broken is not None:
            return Unavailable(f"it is at its limit {verdict.broken}", verdict.retry_after_s, is_limit=True)
        return Call(demand)

    @asynccontextmanager
    async def running(self, call: Call, turn: Turn) -> AsyncIterator[None]:
        """Counts a reserved call, and notes how it ends."""
        state, now = self.state, self.clock.monotonic
        probe = state.circuit.begin(now(), self.circuit)
        state.running += 1
        try:
            yield
        except BaseException as error:
            if isinstance(error, ModelError) and error.usage is not None:
                call.usage = error.usage
            if state.circuit.failed(error, now(), self.circuit, probe=probe):
                turn.record("error", report_change(self.node, state.circuit, now()))
            raise
        else:
            if state.circuit.succeeded(probe=probe):
                turn.record("error", report_change(self.node, state.circuit, now()))
        finally:
            state.running -= 1
            await self.buckets.settle(self.key, call.demand, _tokens(call.usage))


def _estimate(turn: Turn) -> int:
    sent = messages_tokens(turn.examples + turn.messages) + text_tokens(turn.system or "") + tools_tokens(turn.tools)
    return sent + (turn.settings.max_tokens or ANSWER_TOKENS)


def _tokens(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)
