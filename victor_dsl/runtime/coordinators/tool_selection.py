"""The tool selection coordinator: which tools a turn offers, within its limits and whatever the strategy does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Protocol, runtime_checkable

from attrs import evolve, frozen

from victor_dsl.errors import ComponentError
from victor_dsl.language.boundary import describe, internal_error, is_fault, is_unforeseen
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.runtime.context_window import ModelWindow
from victor_dsl.runtime.coordinators.offered_tools import NOTHING_OFFERED, Offered, OfferedTools, Places, Selected
from victor_dsl.runtime.deferred_tools import defer
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Limits, default_settings
from victor_dsl.values.tool import Tool, price_order, tools_tokens
from victor_dsl.values.tool_globs import matches
from victor_dsl.values.turn import FindTools, SelectionRecord, Turn, forget

LATEST = 16
"""For how many pairs of tools and limits the allowed tools are cached: one pair for each busy tenant."""

MOST_TIMES_K = 3
"""By default a session is offered at most this many times `k` tools before its set begins anew."""

CHEAP_SHARE, CHEAP_COUNT = 0.1, 128
"""Without `k`, all tools are offered while they take at most this share of the window, and are at most so many."""

ASSUMED_WINDOW = 32_768
"""The window to take the share of if the model's is not known."""

DEFAULT_K = 16
"""How many tools are selected where there is no `k`, and all tools would take more than that."""

DEFAULT_FOUND = 5
"""How many tools a search for deferred tools returns where there is no `k`."""

MOST_EARLIER = 256
"""For how many earlier user messages tools are selected, if this process has not seen the conversation."""

EARLIER_AT_ONCE = 16
"""How many of them a strategy prepares at once: an embedder is called once for all their texts."""

ALL, USE_AND_COST = "all", "use_and_cost"
"""What stands in where no strategy finds anything: all tools; or where `k` is less, those that the conversation has called most often,
then the cheapest."""

EARLIER_SECONDS = 5.0
"""After this time the fallback selects for the remaining ones."""


def allowed(name: str, limits: Limits) -> bool:
    """Whether a tool may be offered and called: some glob of `allow` matches its name, if there are any, and none of `deny`."""
    tools = limits.tools
    if tools is None:
        return True
    return not matches(name, tools.deny or ()) and (tools.allow is None or matches(name, tools.allow))


@runtime_checkable
class Limiting(Protocol):
    """A strategy with a limit of its own, which holds for its fallbacks too."""

    def admit(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """The tools within the limit, in their order; possibly none."""
        ...


@runtime_checkable
class Ranking(Protocol):
    """A strategy that puts all tools in an order of relevance, so that only the first few need to be offered."""

    ranks_all: bool


@runtime_checkable
class Deferring(Protocol):
    """A strategy by which the model searches for tools when it needs them."""

    defers: bool


@runtime_checkable
class Preparing(Protocol):
    """A strategy that can do the slow part of several selections at once."""

    async def prepare(self, turns: Sequence[Turn]) -> None:
        """Prepares the selections of these turns. May raise."""
        ...


@frozen
class _Choice:
    """The names that the strategy of a `type` selected. A `fallback` did because a strategy `failed`, or because no tool matched."""

    type: str
    names: tuple[str, ...]
    fallback: bool = False
    failed: bool = False

    def record(self, candidates: int, *, reset: bool = False) -> SelectionRecord:
        """The record of the choice out of so many tools."""
        return SelectionRecord(self.type, candidates, self.names, self.fallback, reset, self.failed)


@frozen(eq=False, slots=False)
class _Allowed:
    """The allowed ones of some tools under some limits, in their order; of several with one name, the first."""

    tools: tuple[Tool, ...]
    limits: Limits
    allowed: tuple[Tool, ...]
    by_name: Mapping[str, Tool]

    @cached_property
    def tokens(self) -> int:
        """The tokens of all allowed tools."""
        return tools_tokens(self.allowed)

    @cached_property
    def fingerprint(self) -> int:
        """A hash of the definitions."""
        return hash(self.allowed)


class ToolSelectionCoordinator:
    """Selects a turn's tools by a strategy; by `fallback` if that fails or finds nothing; if both do, all of them, or the `k` that the
    conversation has called most often, then the cheapest.

    A strategy fails when it raises or selects a tool that it was not offered. If it selects more than `k` tools, the first
    `k` count. A strategy may have a limit, `admit`: tools over it are left out like denied ones.

    What a conversation was offered stays offered (`offered_tools`), and is sent in the tools' own order. `memory` is the
    cache of these sets; `models` are the windows of the plan's models by name.
    """

    def __init__(
        self,
        strategy: ToolSelection,
        *,
        type: str,
        fallback: ToolSelection | None = None,
        fallback_type: str | None = None,
        memory: OfferedTools | None = None,
        models: Mapping[str, ModelWindow] | None = None,
    ) -> None:
        self._strategies = [(type, strategy)]
        self._memory = OfferedTools() if memory is None else memory
        self._models = models or {}
        self._ranks = isinstance(strategy, Ranking) and strategy.ranks_all
        self._defers = isinstance(strategy, Deferring) and strategy.defers
        self._prepare = strategy.prepare if isinstance(strategy, Preparing) else None
        self._limit = strategy if isinstance(strategy, Limiting) else None
        self._latest: list[_Allowed] = []
        self._widened = (default_settings(), default_settings())  # the latest settings, and the same with `most` as `k`
        if fallback is not None:
            self._strategies.append((fallback_type or "fallback", fallback))

    async def select(self, turn: Turn) -> Turn:
        """The turn with the tools to send: those selected from `turn.tools`, and those that its conversation was offered."""
        if not turn.tools:
            return turn
        candidates = self._allowed(turn.tools, turn.settings.limits)
        selecting = self._with_k(turn, candidates)
        if self._defers:
            choice = await self._choose(selecting, candidates)
            turn.trace.selection = record = choice.record(len(candidates.allowed))
            return defer(turn, candidates.allowed, self._finder(candidates)).replace(selection=record)
        choice, selected = await self._select(selecting, candidates)
        tools, names, reset = candidates.allowed, selected.names, False
        if len(names) < len(tools):
            offered = await self._offered(selecting, candidates, selected)
            names, reset = offered.shown(selected), offered.reset
            if len(offered.names) < len(tools):
                tools = tuple([tool for tool in tools if tool.name in offered.names])
        turn.trace.selection = record = evolve(choice, names=names).record(len(candidates.allowed), reset=reset)
        return turn.replace(tools=tools, selection=record)

    async def _select(self, turn: Turn, candidates: _Allowed, first: int = 0) -> tuple[_Choice, Selected]:
        """The choice of a strategy, and what matches the turn's latest user message."""
        settings = turn.settings
        k, most = settings.k, settings.most
        if k is not None:
            most = max(k, MOST_TIMES_K * k if most is None else most)
            if self._widened[0] is not settings:
                self._widened = settings, settings.replace(k=most)
            turn = turn.replace(settings=self._widened[1])
        choice = await self._choose(turn, candidates, first)
        if choice.type == USE_AND_COST and k is not None and k >= len(candidates.allowed):
            choice = evolve(choice, type=ALL, names=tuple(candidates.by_name))
        ranking, must = choice.names, settings.tool_choice
        if must is not None and must in candidates.by_name and must not in ranking[:k]:
            ranking = (must, *[name for name in ranking if name != must])  # it is offered in any case
        matches = not (choice.fallback and choice.type in (ALL, USE_AND_COST))
        return choice, Selected(ranking, k, most, matches=matches)

    def _with_k(self, turn: Turn, candidates: _Allowed) -> Turn:
        """The turn with the `k` in force: without one, a strategy that ranks selects some of the tools if all would cost much."""
        if turn.settings.k is not None:
            return turn
        if self._defers:
            return turn.replace(settings=turn.settings.replace(k=DEFAULT_FOUND))
        if not self._ranks:
            return turn
        model = self._models.get(turn.settings.model or "")
        window = (None if model is None else model.tokens) or ASSUMED_WINDOW
        if len(candidates.allowed) <= CHEAP_COUNT and candidates.tokens <= CHEAP_SHARE * window:
            return turn
        return turn.replace(settings=turn.settings.replace(k=DEFAULT_K))

    def _finder(self, candidates: _Allowed) -> FindTools:
        async def find(query: str, turn: Turn) -> Sequence[Tool]:
            asking = self._with_k(
                turn.replace(messages=(Message("user", query),), tools=candidates.allowed), candidates
            )
            choice = await self._choose(asking, candidates)
            return () if choice.type in (ALL, USE_AND_COST) else [candidates.by_name[name] for name in choice.names]

        return find

    async def _offered(self, turn: Turn, candidates: _Allowed, selected: Selected) -> Offered:
        """What the conversation is offered after its latest user message, for which these are `selected`."""
        settings, allowed, memory = turn.settings, candidates.by_name, self._memory
        places = Places(turn, (turn.plan, candidates.fingerprint, selected.k, selected.most, settings.alpha))
        offered, unknown = NOTHING_OFFERED, list[int]()
        for index in islice(places.earlier(), MOST_EARLIER):
            if (known := memory.get(places.key(index))) is not None:
                offered = known
                break
            unknown.append(index)
        keep = not turn.rendering
        if unknown:
            for index, one in await self._earlier(turn, candidates, unknown[::-1]):
                offered = offered.grown(one, allowed)
                if keep:
                    memory.put(places.key(index), offered)
        offered = offered.grown(selected, allowed)
        if keep and places.latest is not None:
            memory.put(places.key(places.latest), offered)
        return offered

    async def _earlier(self, turn: Turn, candidates: _Allowed, indices: Sequence[int]) -> list[tuple[int, Selected]]:
        """What is selected for earlier user messages, which are at these indices. Failures are not recorded."""
        turns = [turn.replace(messages=turn.messages[: index + 1], record=forget) for index in indices]
        now = asyncio.get_running_loop().time
        end = now() + EARLIER_SECONDS
        found: list[tuple[int, Selected]] = []
        for start in range(0, len(turns), EARLIER_AT_ONCE):
            some = turns[start : start + EARLIER_AT_ONCE]
            if self._prepare is not None and now() < end:
                try:
                    await self._prepare(some)
                except BaseException as error:
                    if not is_fault(error):
                        raise  # a fault shows in each selection, which then has its fallback
            for index, one in zip(indices[start:], some, strict=False):
                _, selected = await self._select(one, candidates, first=0 if now() < end else 1)
                found.append((index, selected))
        return found

    def _allowed(self, tools: tuple[Tool, ...], limits: Limits) -> _Allowed:
        for latest in self._latest:
            if latest.tools is tools and latest.limits is limits:
                return latest
        by_name: dict[str, Tool] = {}
        for tool in tools:
            if tool.name not in by_name and allowed(tool.name, limits):
                by_name[tool.name] = tool
        if self._limit is not None:
            try:
                within = frozenset(_names(self._limit.admit(tuple(by_name.values())), by_name))
            except BaseException as error:
                if not is_unforeseen(error):
                    raise
                raise internal_error(error, f"tool_selection/{self._strategies[0][0]}") from error
            by_name = {name: tool for name, tool in by_name.items() if name in within}
        found = _Allowed(tools, limits, tuple(by_name.values()), by_name)
        self._latest = [found, *self._latest[: LATEST - 1]]
        return found

    async def _choose(self, turn: Turn, candidates: _Allowed, first: int = 0) -> _Choice:
        """The valid selection of a strategy. The `first` to ask is the section's own (0) or its fallback (1)."""
        k, failed = turn.settings.k, False
        if not candidates.allowed:
            return _Choice(self._strategies[0][0], ())
        for nth, (type, strategy) in enumerate(self._strategies[first:], first):
            try:
                names = _names(await strategy.select(candidates.allowed, turn), candidates.by_name)
            except BaseException as error:
                if not is_fault(error):
                    raise
                failed = True
                reason = f"the strategy failed: {describe(error)}"
                turn.record("error", ComponentError(reason, node=f"tool_selection/{type}").to_dict())
            else:
                if nth and type == ALL and k is not None:
                    break  # the first of the list would be offered
                if names:
                    return _Choice(type, names[:k], nth > 0, failed)
        if k is None:
            return _Choice(ALL, tuple(candidates.by_name), fallback=True, failed=failed)
        best = _by_use_and_cost(candidates.allowed, turn.messages)[:k]
        return _Choice(USE_AND_COST, best, fallback=True, failed=failed)


def _by_use_and_cost(tools: Sequence[Tool], messages: Iterable[Message]) -> tuple[str, ...]:
    """The names of tools: those called most often in the messages first, then the cheapest, then by their order."""
    calls = Counter(call.name for message in messages for call in message.tool_calls)
    return tuple([tool.name for tool in sorted(tools, key=lambda tool: (-calls[tool.name], price_order(tool)))])


def _names(selected: Iterable[Tool], offered: Mapping[str, Tool]) -> tuple[str, ...]:
    """The names of the selected tools, each once. Raises ComponentError where one was not offered."""
    names = dict.fromkeys([tool.name for tool in selected])
    if not names.keys() <= offered.keys():
        stranger = next(name for name in names if name not in offered)
        raise ComponentError(f"it selected '{stranger}', which is not among the tools it was offered")
    return tuple(names)
