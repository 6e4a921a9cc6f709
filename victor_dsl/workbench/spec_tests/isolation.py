"""A program as its tests run it: no caller is checked, nothing is counted, stored or exported, and answers may be recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from attrs import define, evolve, field

from victor_dsl.graph.plan import Arms, Plan, Program
from victor_dsl.language.component import Component, Context
from victor_dsl.language.kinds import Model, ToolSource
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.pipeline import path_nodes
from victor_dsl.values.message import Content, Message, Reply, ToolCall
from victor_dsl.values.turn import Turn
from victor_dsl.workbench.spec_tests.tape import Tape

COUNTING = "circuit_breaker"
"""Middleware that enforces no limit, and yet remembers turns."""


def isolated(program: Program, registry: Registry) -> Program:
    """The program without what checks callers, counts turns and exports events. Digests are those of the program."""

    def compile_plan(tenant: str | None, arms: Arms) -> Plan:
        plan = program.plan_for(tenant, dict(arms))
        roles = evolve(
            plan.roles,
            admission=(),
            exporters=(),
            middleware=tuple((id, around) for id, around in plan.roles.middleware if not _counts(plan, id, registry)),
        )
        empty = (evolve(node, needs=()) if node.id == roles.sessions else node for node in plan.nodes)
        plan = evolve(plan, roles=roles, nodes=tuple(empty))
        return evolve(plan, nodes=path_nodes(plan, answering=True))

    return evolve(program, compile_plan=compile_plan)


def _counts(plan: Plan, id: str, registry: Registry) -> bool:
    node = plan.by_id[id]
    component = registry.find(node.kind, node.type)
    return node.type == COUNTING or (component is not None and bool(component.enforces))


@define
class Tapes:
    """The tapes of the tests that run now, by the id of their request."""

    running: dict[str, Tape] = field(factory=dict)

    def of(self, turn: Turn) -> Tape:
        """The tape of the test to which the turn belongs."""
        return self.running[str(turn.request.id)]


class TestedParts(Registry):
    """A registry whose models and tools go by the tapes, and whose sessions are empty. `asks` opens the models."""

    __test__ = False

    def __init__(self, registry: Registry, tapes: Tapes, *, asks: bool) -> None:
        super().__init__()
        self._registry = registry
        self._tapes = tapes
        self._asks = asks

    def find(self, kind: str, type: str) -> Component | None:
        """The component, with another `build` where tests need it."""
        component = self._registry.find(kind, type)
        if component is None or kind not in ("sessions", "models", "tools"):
            return component
        if kind == "sessions":
            return evolve(component, build=lambda *_: NoSessions())
        if kind == "tools":
            return evolve(component, build=partial(_tools, component, self._tapes))
        if "members" in component.config.model_fields:  # a pool passes calls on to models that go by the tapes
            return component
        if component.offline:
            return evolve(
                component, build=lambda config, context: OfflineModel(component, config, context, self._tapes)
            )
        return evolve(component, build=partial(_model, component, self._tapes, self._asks))


class NoSessions:  # its methods have the arguments of their Protocol
    """Sessions without a history: what one test says is nothing to another."""

    async def load(
        self,
        tenant: str | None,  # noqa: ARG002
        session: str,  # noqa: ARG002
        before: str | None = None,  # noqa: ARG002
        *,
        user: str | None = None,  # noqa: ARG002
    ) -> tuple[Message, ...]:
        """No messages."""
        return ()

    async def append(
        self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message], *, user: str | None = None
    ) -> None:
        """Forgets them."""


class OfflineModel:
    """A model that needs no network: each run of a test has its own."""

    def __init__(self, component: Component, config: Any, context: Context, tapes: Tapes) -> None:
        self._build = partial(component.build, config, context)
        self._node = context.node
        self._tapes = tapes

    async def answer(self, turn: Turn) -> Reply:
        """The answer of the run's own model."""
        live = await self._tapes.of(turn).own(self._node, self._build)
        reply: Reply = await live.answer(turn)
        return reply


class TapedModel:
    """A model whose answers are recorded and played. `live` is None where it may not be asked."""

    def __init__(self, model_id: str | None, live: Model | None, context: Context, tapes: Tapes) -> None:
        self._id = model_id
        self._live = live
        self._now = context.clock.monotonic
        self._tapes = tapes

    async def answer(self, turn: Turn) -> Reply:
        """The recorded answer, or the model's."""
        ask = None if self._live is None else self._live.answer
        return await self._tapes.of(turn).model(turn, self._id, ask, self._now)


@asynccontextmanager
async def _model(component: Component, tapes: Tapes, asks: bool, config: Any, context: Context) -> AsyncIterator[Model]:
    model_id = getattr(config, "model", None)
    if not asks:
        yield TapedModel(model_id, None, context, tapes)
        return
    async with _entered(component.build(config, context)) as live:
        yield TapedModel(model_id, live, context, tapes)


class TapedTools:
    """A source of tools whose calls are recorded and played. It has the optional methods that `live` has."""

    def __init__(self, live: ToolSource, context: Context, tapes: Tapes) -> None:
        self._live = live
        self._now = context.clock.monotonic
        self._tapes = tapes
        for name in ("tools", "fixed_tools", "tools_for", "contribute"):
            if hasattr(live, name):
                setattr(self, name, getattr(live, name))

    @property
    def server(self) -> str:
        """What an MCP server calls itself, for the lock."""
        return getattr(self._live, "server", "")

    async def call(self, call: ToolCall, turn: Turn) -> Content:
        """The recorded result, or the tool's."""
        return await self._tapes.of(turn).tool(call, partial(self._live.call, call, turn), self._now)


@asynccontextmanager
async def _tools(component: Component, tapes: Tapes, config: Any, context: Context) -> AsyncIterator[Any]:
    async with _entered(component.build(config, context)) as live:
        yield TapedTools(live, context, tapes)


@asynccontextmanager
async def _entered(built: Any) -> AsyncIterator[Any]:
    if isinstance(built, AbstractAsyncContextManager):
        async with built as live:
            yield live
    else:
        yield built
