"""Strategies within a strategy, such as the steps of a `chain`."""

from __future__ import annotations

from collections.abc import Sequence

from victor_dsl.errors import ComponentError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn


class Nested:
    """A strategy with its own `k` and its own fallback, which selects where the strategy fails or finds nothing."""

    def __init__(self, strategy: ToolSelection, k: int | None, fallback: ToolSelection | None, node: str) -> None:
        self._strategy = strategy
        self._k = k
        self._fallback = fallback
        self._node = node

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        if self._k is not None:
            turn = turn.replace(settings=turn.settings.replace(k=self._k))
        if self._fallback is None:
            return await self._strategy.select(tools, turn)
        try:
            found = await self._strategy.select(tools, turn)
        except BaseException as error:
            if not is_fault(error):
                raise
            record_failure(error, self._node, turn)
            found = ()
        return found or await self._fallback.select(tools, turn)

    def admit(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """The tools within the strategy's limits, if it has any."""
        return admitted(self._strategy, tools)

    async def prepare(self, turns: Sequence[Turn]) -> None:
        """Does the slow part of the selections of several turns at once."""
        await prepare(self._strategy, turns)


def nested(strategy: ToolSelection, config: ToolSelectionConfig, context: Context) -> ToolSelection:
    """The strategy; within another one, with the `k` and the `fallback` of its own item.

    Those of the section's own strategy are applied by the runtime: `k` is a setting.
    """
    if "." not in context.node:
        return strategy
    fallback = context.live(config.fallback) if isinstance(config.fallback, str) else None
    if config.k is None and fallback is None:
        return strategy
    return Nested(strategy, config.k, fallback, context.node)


def admitted(strategy: ToolSelection, tools: Sequence[Tool]) -> Sequence[Tool]:
    """The tools within a strategy's limits, if it has any."""
    admit = getattr(strategy, "admit", None)
    found: Sequence[Tool] = tools if admit is None else admit(tools)
    return found


async def prepare(strategy: ToolSelection, turns: Sequence[Turn]) -> None:
    """Does the slow part of a strategy's selections of several turns at once, where it has one."""
    prepare = getattr(strategy, "prepare", None)
    if prepare is not None:
        await prepare(turns)


def record_failure(error: BaseException, node: str, turn: Turn) -> None:
    """Records an `error` event for a nested strategy, or an embedder, that failed."""
    turn.record("error", ComponentError(f"the strategy failed: {describe(error)}", node=node).to_dict())
