"""The pipeline: one plan's live objects, made into the one handler that its turns go through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast, runtime_checkable

from victor_dsl.errors import RequestError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.boundary import internal_error, is_unforeseen
from victor_dsl.language.component import Clock
from victor_dsl.language.config import Around, CompactionConfig, ModelConfig, ToolConfig, ToolSelectionConfig
from victor_dsl.language.kinds import Contributor, SessionStore, ToolSource
from victor_dsl.language.lock import Lock, LockedServer
from victor_dsl.runtime.context_window import ModelWindow
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.coordinators.context import ContextCoordinator, ContextMemory
from victor_dsl.runtime.coordinators.messages import MessageCoordinator
from victor_dsl.runtime.coordinators.prompt import PromptCoordinator
from victor_dsl.runtime.coordinators.provider_layers import ProviderMemory
from victor_dsl.runtime.coordinators.tool_selection import ToolSelectionCoordinator
from victor_dsl.runtime.middleware import Layer, chain
from victor_dsl.runtime.model_calls import ModelCalls
from victor_dsl.runtime.model_loop import ModelLoop
from victor_dsl.runtime.tool_calls import ToolCalls
from victor_dsl.values.message import Reply
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

Step = Callable[[Turn], Awaitable[Turn]]


@runtime_checkable
class FixedTools(Protocol):
    """A source whose tools never change, so that they are not listed anew for each turn."""

    fixed_tools: Sequence[Tool]


@runtime_checkable
class ToolsByTurn(Protocol):
    """A source whose tools depend on the turn, such as on its tenant."""

    async def tools_for(self, turn: Turn) -> Sequence[Tool]:
        """The definitions for this turn: the same object as long as nothing changed."""
        ...


@runtime_checkable
class Reshaping(Protocol):
    """A middleware that changes what the model is sent, and therefore what is rendered."""

    def reshape(self, turn: Turn) -> Turn:
        """The turn as the middleware would pass it to the handler that it wraps."""
        ...


def path_nodes(plan: Plan, *, answering: bool) -> tuple[Node, ...]:
    """The nodes on the path of a turn, with all that they need, in dependency order; models only if they are to answer."""
    roles = plan.roles
    path = (
        *(roles.models.values() if answering else ()),
        *roles.providers,
        *roles.contributors,
        *roles.messages,
        *((roles.message,) if roles.message else ()),
        *roles.tools,
        roles.tool_selection,
        roles.compaction,
        *(id for id, _ in roles.middleware),
        roles.sessions,
    )
    return plan.with_needs(path)


class Pipeline:
    """One plan's coordinators and onions of middleware, made once for all its turns.

    settle -> middleware (around: turn) -> compose -> add examples -> wrap -> list tools -> select -> fit -> model loop. Rendering takes the same
    steps without the onions and the loop. `models` are the windows of the plan's models by name. `memory` and
    `provided` outlive the pipeline: they have what compaction kept, which tools were offered, and what providers gave in
    earlier turns. `sessions` is the plan's store. With a `lock`, a turn fails whose servers list other tools.
    """

    def __init__(
        self,
        plan: Plan,
        objects: Mapping[str, Any],
        clock: Clock,
        memory: ContextMemory,
        models: Mapping[str, ModelWindow],
        provided: ProviderMemory,
        sessions: SessionStore,
        lock: Lock | None = None,
    ) -> None:
        self.plan = plan
        self._lock = lock
        self._locked: dict[str, tuple[Sequence[Tool], str]] = {}  # what the lock has of servers, by node
        self.sessions = sessions
        roles = plan.roles
        self._middleware = tuple((around, (id, objects[id])) for id, around in roles.middleware)
        self._sources: tuple[tuple[Node, ToolSource], ...] = _pairs(plan, roles.tools, objects)
        self._fixed = [source.fixed_tools if isinstance(source, FixedTools) else () for _, source in self._sources]
        self._changing = [
            (place, node, source, source if isinstance(source, ToolsByTurn) else None)
            for place, (node, source) in enumerate(self._sources)
            if not isinstance(source, FixedTools)
        ]
        self._listed: tuple[list[Sequence[Tool]], tuple[Tool, ...]] = ([], ())
        self._config = ConfigCoordinator(plan, _pairs(plan, roles.providers, objects), provided)
        self._prompt = PromptCoordinator(
            _pairs(plan, roles.contributors, objects),
            plan.prompt,
            [(node, source) for node, source in self._sources if isinstance(source, Contributor)],
        )
        self._selection = _selection(plan, objects, memory, models)
        self._context = _context(plan, objects, memory, models)
        around_model = self._around("model")
        self._around_model = partial(chain, around_model) if around_model else None
        self._models = ModelCalls(
            {name: objects[id] for name, id in roles.models.items() if id in objects},
            {name: _config(plan, id) for name, id in roles.models.items()},
            self._context,
            around_model,
            clock,
            self._config,
        )
        self._model_fingerprints = {name: plan.by_id[id].fingerprint for name, id in roles.models.items()}
        self._loop = ModelLoop(self._models, ToolCalls(self._sources, self._around("tool"), clock))
        template = None if roles.message is None else (plan.by_id[roles.message], objects[roles.message])
        messages = MessageCoordinator(_pairs(plan, roles.messages, objects), template)
        self._steps: tuple[Step, ...] = (
            self._prompt.compose,
            *((messages.add_examples,) if roles.messages else ()),
            *((messages.wrap,) if template else ()),
            self._list_tools,
            self._selection.select,
            self._models.fit,
        )
        self._handler = chain(self._around("turn"), self._innermost)

    async def answer(self, turn: Turn) -> Reply:
        """The reply to a turn whose history is known."""
        return await self._handler(await self._config.settle(turn))

    def rendering(self) -> tuple[Step, ...]:
        """The steps up to what the model would be sent. They count nothing and write nothing.

        Middleware that reshapes requests (`Reshaping`) does so where its onion would.
        """
        return (self._config.settle, self._reshape("turn"), *self._steps, self._reshape("model"))

    def window(self, turn: Turn) -> int | None:
        """The context window of the turn's model."""
        return self._context.window(turn.settings.model)

    async def _innermost(self, turn: Turn) -> Reply:
        turn.trace.exchange = turn.messages[-1:]
        if self._around_model is not None:
            turn = turn.replace(around_model=self._around_model, model_fingerprints=self._model_fingerprints)
        try:
            for step in self._steps:
                turn = await step(turn)
            return await self._loop.answer(turn)
        except BaseException as error:
            if not is_unforeseen(error):
                raise
            raise internal_error(error) from error  # else the middleware around it would be blamed

    def _reshape(self, what: Around) -> Step:
        shapers = [(node, layer.reshape) for node, layer in self._around(what) if isinstance(layer, Reshaping)]

        async def reshape(turn: Turn) -> Turn:
            for node, shape in shapers:
                try:
                    turn = shape(turn)
                except BaseException as error:
                    if not is_unforeseen(error):
                        raise
                    raise internal_error(error, node) from error
            return turn

        return reshape

    async def _list_tools(self, turn: Turn) -> Turn:
        """The turn with all tools of the plan, and then its request's own."""
        lists = list(self._fixed)
        for place, node, source, by_turn in self._changing:
            try:
                lists[place] = await (source.tools() if by_turn is None else by_turn.tools_for(turn))
                if self._lock is not None and cast("ToolConfig", node.config).lists_tools():
                    await self._check(self._lock, node, source, lists[place], turn)
            except BaseException as error:
                if not is_unforeseen(error):
                    raise
                raise internal_error(error, node.id) from error
        known, tools = self._listed
        if lists != known:  # quick for the same lists: elements are compared by identity first
            tools = tuple(tool for listed in lists for tool in listed)
            self._listed = (lists, tools)
        if turn.request.tools:
            names = {tool.name for tool in tools}
            for index, tool in enumerate(turn.request.tools):
                if tool.name in names:
                    raise RequestError(f"tools[{index}].function.name: the spec has a tool '{tool.name}' already")
            tools += turn.request.tools
        return turn.replace(tools=tools) if tools else turn

    async def _check(self, lock: Lock, node: Node, source: ToolSource, tools: Sequence[Tool], turn: Turn) -> None:
        """Raises LockError where a server lists other tools than the lock has, or has other instructions."""
        instructions = await source.contribute(turn) if isinstance(source, Contributor) else ""
        known, said = self._locked.get(node.id, (None, ""))
        if tools is not known or instructions != said:  # quick for the same list
            lock.check_server(node.id, LockedServer.of(getattr(source, "server", ""), instructions, tools))
            self._locked[node.id] = (tools, instructions)

    def _around(self, what: Around) -> tuple[Layer, ...]:
        return tuple(layer for around, layer in self._middleware if around == what)


def _pairs(plan: Plan, ids: Sequence[str], objects: Mapping[str, Any]) -> tuple[tuple[Node, Any], ...]:
    return tuple((plan.by_id[id], objects[id]) for id in ids)


def _config(plan: Plan, id: str) -> ModelConfig:
    return cast("ModelConfig", plan.by_id[id].config)


def _selection(
    plan: Plan, objects: Mapping[str, Any], memory: ContextMemory, models: Mapping[str, ModelWindow]
) -> ToolSelectionCoordinator:
    node = plan.by_id[plan.roles.tool_selection]
    fallback = _fallback(plan, cast("ToolSelectionConfig", node.config).fallback)
    return ToolSelectionCoordinator(
        objects[node.id],
        type=node.type,
        fallback=objects[fallback.id] if fallback else None,
        fallback_type=fallback.type if fallback else None,
        memory=memory.offered,
        models=models,
    )


def _context(
    plan: Plan, objects: Mapping[str, Any], memory: ContextMemory, models: Mapping[str, ModelWindow]
) -> ContextCoordinator:
    node = plan.by_id[plan.roles.compaction]
    config = cast("CompactionConfig", node.config)
    fallback = _fallback(plan, config.fallback)
    return ContextCoordinator(
        objects[node.id],
        type=node.type,
        fallback=objects[fallback.id] if fallback else None,
        fallback_type=fallback.type if fallback else None,
        deadline_s=config.deadline_seconds,
        memory=memory.compactions,
        models=models,
    )


def _fallback(plan: Plan, id: Any) -> Node | None:
    """The node of a `fallback`, which the compiler has replaced by its id."""
    return plan.by_id.get(id or "")
