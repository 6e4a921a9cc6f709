"""The tool selection coordinator: which of the tools a turn offers, within its limits and whatever the strategy does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, runtime_checkable

from victor_dsl.errors import ComponentError
from victor_dsl.language.boundary import describe, internal_error, is_fault, is_unforeseen
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.settings import Limits
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import SelectionRecord, Turn

ALLOWED_KEPT = 16
"""Of so many pairs of tools and limits is it known what is allowed: one for each tenant that is busy."""


def allowed(name: str, limits: Limits) -> bool:
    """Whether a tool may be offered and called: a glob of `allow` matches its name, or there is none, and none of `deny`."""
    tools = limits.tools
    if tools is None:
        return True
    if any(fnmatchcase(name, glob) for glob in tools.deny or ()):
        return False
    return tools.allow is None or any(fnmatchcase(name, glob) for glob in tools.allow)


@runtime_checkable
class Limiting(Protocol):
    """A strategy that has a limit, which its fallbacks are held to as well."""

    def admit(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """The tools within the limit, in their order; they may be none."""
        ...


class ToolSelectionCoordinator:
    """Selects a turn's tools by a strategy; by `fallback` where that fails or finds nothing; all where both do.

    A strategy fails when it raises or names a tool that it was not given. Of more than `k` tools the first count. A
    strategy may have a limit, `admit`: what is over it is left out like a tool that is denied.
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
        self._lately: list[tuple[tuple[Tool, ...], Limits, tuple[Tool, ...]]] = []
        if fallback is not None:
            self._strategies.append((fallback_type or "fallback", fallback))

    async def select(self, turn: Turn) -> Turn:
        """The turn with the tools to offer, out of `turn.tools` (of those with one name, the first counts)."""
        if not turn.tools:
            return turn
        tools = self._allowed(turn.tools, turn.settings.limits)
        type, offered, fallback = await self._choose(turn, tools)
        record = SelectionRecord(type, len(tools), tuple(tool.name for tool in offered), fallback)
        turn.trace.selection = record
        return turn.replace(tools=offered, selection=record)

    def _allowed(self, tools: tuple[Tool, ...], limits: Limits) -> tuple[Tool, ...]:
        for given, under, found in self._lately:
            if given is tools and under is limits:
                return found
        by_name: dict[str, Tool] = {}
        for tool in tools:
            if tool.name not in by_name and allowed(tool.name, limits):
                by_name[tool.name] = tool
        found = tuple(by_name.values())
        if self._limit is not None:
            try:
                found = _checked(self._limit.admit(found), found)
            except BaseException as error:
                if not is_unforeseen(error):
                    raise
                raise internal_error(error, f"tool_selection/{self._strategies[0][0]}") from error
        self._lately = [(tools, limits, found), *self._lately[: ALLOWED_KEPT - 1]]
        return found

    async def _choose(self, turn: Turn, tools: tuple[Tool, ...]) -> tuple[str, tuple[Tool, ...], bool]:
        """The type whose selection holds, the tools, and whether that is a fallback."""
        k = turn.settings.k
        if not tools:
            return self._strategies[0][0], (), False
        for nth, (type, strategy) in enumerate(self._strategies):
            try:
                selected = _checked(await strategy.select(tools, turn), tools)
            except BaseException as error:
                if not is_fault(error):
                    raise
                reason = f"the strategy failed: {describe(error)}"
                turn.record("error", ComponentError(reason, node=f"tool_selection/{type}").as_json())
            else:
                if selected:
                    return type, selected[:k], nth > 0
        return "all", tools[:k], True


def _checked(selected: Iterable[Tool], tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """The tools selected, each once, as they were given. Raises ComponentError where one was not given."""
    given = {tool.name: tool for tool in tools}
    names = dict.fromkeys(tool.name for tool in selected)
    foreign = [name for name in names if name not in given]
    if foreign:
        raise ComponentError(f"it selected '{foreign[0]}', which is not among the tools it was given")
    return tuple(given[name] for name in names)
