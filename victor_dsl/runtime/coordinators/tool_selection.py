"""The tool selection coordinator: which tools a turn offers, within its limits and whatever the strategy does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, runtime_checkable

from attrs import frozen

from victor_dsl.errors import ComponentError
from victor_dsl.language.boundary import describe, internal_error, is_fault, is_unforeseen
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.settings import Limits
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import SelectionRecord, Turn

LATEST = 16
"""For how many pairs of tools and limits the allowed tools are cached: one pair for each busy tenant."""


def allowed(name: str, limits: Limits) -> bool:
    """Whether a tool may be offered and called: some glob of `allow` matches its name, if there are any, and none of `deny`."""
    tools = limits.tools
    if tools is None:
        return True
    if any(fnmatchcase(name, glob) for glob in tools.deny or ()):
        return False
    return tools.allow is None or any(fnmatchcase(name, glob) for glob in tools.allow)


@runtime_checkable
class Limiting(Protocol):
    """A strategy with a limit of its own, which holds for its fallbacks too."""

    def admit(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """The tools within the limit, in their order; possibly none."""
        ...


@frozen(eq=False)
class _Allowed:
    """The allowed ones of some tools under some limits; of several with one name, the first."""

    tools: tuple[Tool, ...]
    limits: Limits
    allowed: tuple[Tool, ...]
    by_name: Mapping[str, Tool]


class ToolSelectionCoordinator:
    """Selects a turn's tools by a strategy; by `fallback` if that fails or finds nothing; all of them if both do.

    A strategy fails when it raises or selects a tool that it was not offered. If it selects more than `k` tools, the first
    `k` count. A strategy may have a limit, `admit`: tools over it are left out like denied ones.
    """

    def __init__(
        self,
        strategy: ToolSelection,
        *,
        type: str,
        fallback: ToolSelection | None = None,
        fallback_type: str | None = None,
    ) -> None:
        self._strategies = [(type, strategy)]
        self._limit = strategy if isinstance(strategy, Limiting) else None
        self._latest: list[_Allowed] = []
        if fallback is not None:
            self._strategies.append((fallback_type or "fallback", fallback))

    async def select(self, turn: Turn) -> Turn:
        """The turn with the tools to offer, selected from `turn.tools`."""
        if not turn.tools:
            return turn
        candidates = self._allowed(turn.tools, turn.settings.limits)
        type, names, fallback = await self._choose(turn, candidates)
        record = SelectionRecord(type, len(candidates.allowed), names, fallback)
        turn.trace.selection = record
        return turn.replace(tools=tuple([candidates.by_name[name] for name in names]), selection=record)

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
                within = _names(self._limit.admit(tuple(by_name.values())), by_name)
            except BaseException as error:
                if not is_unforeseen(error):
                    raise
                raise internal_error(error, f"tool_selection/{self._strategies[0][0]}") from error
            by_name = {name: by_name[name] for name in within}
        found = _Allowed(tools, limits, tuple(by_name.values()), by_name)
        self._latest = [found, *self._latest[: LATEST - 1]]
        return found

    async def _choose(self, turn: Turn, candidates: _Allowed) -> tuple[str, tuple[str, ...], bool]:
        """The type of the strategy whose selection is valid, the names that it selected, and whether it is a fallback."""
        k = turn.settings.k
        if not candidates.allowed:
            return self._strategies[0][0], (), False
        for nth, (type, strategy) in enumerate(self._strategies):
            try:
                names = _names(await strategy.select(candidates.allowed, turn), candidates.by_name)
            except BaseException as error:
                if not is_fault(error):
                    raise
                reason = f"the strategy failed: {describe(error)}"
                turn.record("error", ComponentError(reason, node=f"tool_selection/{type}").as_json())
            else:
                if names:
                    return type, names[:k], nth > 0
        return "all", tuple(candidates.by_name)[:k], True


def _names(selected: Iterable[Tool], offered: Mapping[str, Tool]) -> tuple[str, ...]:
    """The names of the selected tools, each once. Raises ComponentError where one was not offered."""
    names = tuple(dict.fromkeys([tool.name for tool in selected]))
    for name in names:
        if name not in offered:
            raise ComponentError(f"it selected '{name}', which is not among the tools it was offered")
    return names
