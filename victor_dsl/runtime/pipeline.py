"""A plan opened: its live objects, and the one handler that a turn goes through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

from victor_dsl.errors import RequestError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.component import Clock
from victor_dsl.language.config import Around
from victor_dsl.language.kinds import SessionStore, ToolSource
from victor_dsl.runtime.answer import Answering
from victor_dsl.runtime.boundary import component_error, is_fault
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.runtime.coordinators.kept_before import KeptBefore
from victor_dsl.runtime.coordinators.prompt import PromptCoordinator
from victor_dsl.runtime.coordinators.tool_selection import ToolSelectionCoordinator
from victor_dsl.runtime.middleware import Layer, chain
from victor_dsl.runtime.tool_calls import ToolCalls
from victor_dsl.runtime.windows import Counted, Windows
from victor_dsl.values.message import Reply
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn, bare

Step = Callable[[Turn], Awaitable[Turn]]


@runtime_checkable
class Reshaping(Protocol):
    """A middleware that changes what the model is sent, and so what is rendered."""

    def reshape(self, turn: Turn) -> Turn:
        """The turn as the middleware's handler would hand it on."""
        ...


def path_nodes(plan: Plan, *, answering: bool) -> tuple[Node, ...]:
    """The nodes on the path of a turn with all that they need, in dependency order; models only where they answer."""
    roles = plan.roles
    wanted = {
        *(roles.models.values() if answering else ()),
        *roles.providers,
        *roles.contributors,
        *roles.tools,
        roles.tool_selection,
        roles.compaction,
        *(id for id, _ in roles.middleware),
        roles.sessions,
    }
    for node in reversed(plan.nodes):
        if node.id in wanted:
            wanted.update(node.needs)
    return tuple(node for node in plan.nodes if node.id in wanted)


class Pipeline:
    """One plan's coordinators and onions, made once for all its turns.

    settle -> middleware (around: turn) -> compose -> select -> compact -> answer. Rendering goes the same way without
    the onions and the answer. `kept_before` outlives it: it is what compaction kept in turns before.
    `models` says, by name, how the plan's models count.
    """

    def __init__(
        self,
        plan: Plan,
        objects: Mapping[str, Any],
        clock: Clock,
        kept_before: KeptBefore,
        models: Mapping[str, Counted],
    ) -> None:
        self.plan = plan
        self.sessions: SessionStore = objects[plan.roles.sessions]
        roles = plan.roles
        self._middleware = tuple((around, (id, objects[id])) for id, around in roles.middleware)
        self._sources: tuple[tuple[Node, ToolSource], ...] = _pairs(plan, roles.tools, objects)
        self._listed: tuple[tuple[Sequence[Tool], ...], tuple[Tool, ...]] = ((), ())
        self._config = ConfigCoordinator(plan, _pairs(plan, roles.providers, objects))
        self._prompt = PromptCoordinator(_pairs(plan, roles.contributors, objects), plan.prompt)
        self._selection = _selection(plan, objects)
        self._windows = Windows(_context(plan, objects, kept_before), models)
        around_model = self._around("model")
        self._around_model = partial(chain, around_model) if around_model else bare
        self._answering = Answering(
            {name: objects[id] for name, id in roles.models.items() if id in objects},
            self._windows,
            around_model,
            ToolCalls(self._sources, self._around("tool"), clock),
            clock,
        )
        self._steps: tuple[Step, ...] = (
            self._prompt.compose,
            self._with_tools,
            self._selection.select,
            self._windows.fit,
        )
        self._handler = chain(self._around("turn"), self._innermost)

    async def answer(self, turn: Turn) -> Reply:
        """The reply to a turn whose history is known."""
        return await self._handler(await self._config.settle(turn))

    def rendering(self) -> tuple[Step, ...]:
        """The steps up to what the model would be sent. They count nothing and write nothing.

        A middleware that reshapes requests has `reshape(turn) -> Turn`; it runs where its onion would.
        """
        return (self._config.settle, self._reshape("turn"), *self._steps, self._reshape("model"))

    def window(self, turn: Turn) -> int | None:
        """The context window of the turn's model."""
        return self._windows.of(turn.settings.model or "")

    async def _innermost(self, turn: Turn) -> Reply:
        turn.trace.exchange = turn.messages[-1:]
        turn = turn.replace(around_model=self._around_model)
        try:
            for step in self._steps:
                turn = await step(turn)
            return await self._answering.answer(turn)
        except Exception as error:  # else it would be blamed on the middleware around
            raise component_error(error) from error

    def _reshape(self, what: Around) -> Step:
        shapers = [(node, layer.reshape) for node, layer in self._around(what) if isinstance(layer, Reshaping)]

        async def reshape(turn: Turn) -> Turn:
            for node, shape in shapers:
                try:
                    turn = shape(turn)
                except BaseException as error:
                    if not is_fault(error):
                        raise
                    raise component_error(error, node) from error
            return turn

        return reshape

    async def _with_tools(self, turn: Turn) -> Turn:
        """The turn with all tools of the plan, and then its request's own."""
        lists = tuple([await _tools_of(node, source) for node, source in self._sources])
        known, tools = self._listed
        if lists != known:  # quick for the same lists: a tuple's elements are compared by identity first
            tools = tuple(tool for listed in lists for tool in listed)
            self._listed = (lists, tools)
        if turn.request.tools:
            taken = {tool.name for tool in tools}
            for index, tool in enumerate(turn.request.tools):
                if tool.name in taken:
                    raise RequestError(f"tools[{index}].function.name: the spec has a tool '{tool.name}' already")
            tools += turn.request.tools
        return turn.replace(tools=tools) if tools else turn

    def _around(self, what: Around) -> tuple[Layer, ...]:
        return tuple(layer for around, layer in self._middleware if around == what)


async def _tools_of(node: Node, source: ToolSource) -> Sequence[Tool]:
    try:
        return await source.tools()
    except BaseException as error:
        if not is_fault(error):
            raise
        raise component_error(error, node.id) from error


def _pairs(plan: Plan, ids: Sequence[str], objects: Mapping[str, Any]) -> tuple[tuple[Node, Any], ...]:
    return tuple((plan.by_id[id], objects[id]) for id in ids)


def _selection(plan: Plan, objects: Mapping[str, Any]) -> ToolSelectionCoordinator:
    node = plan.by_id[plan.roles.tool_selection]
    fallback = plan.by_id.get(getattr(node.config, "fallback", None) or "")
    return ToolSelectionCoordinator(
        objects[node.id],
        type=node.type,
        fallback=objects[fallback.id] if fallback else None,
        fallback_type=fallback.type if fallback else None,
    )


def _context(plan: Plan, objects: Mapping[str, Any], kept_before: KeptBefore) -> ContextCoordinator:
    node = plan.by_id[plan.roles.compaction]
    config: Any = node.config
    fallback = plan.by_id.get(config.fallback or "")
    return ContextCoordinator(
        objects[node.id],
        type=node.type,
        fallback=objects[fallback.id] if fallback else None,
        fallback_type=fallback.type if fallback else None,
        deadline_s=config.deadline_seconds,
        kept_before=kept_before,
    )
