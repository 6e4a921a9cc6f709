"""Tool selection by several strategies, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from victor_dsl.components.ranking.nested import admitted, nested, prepare, record_failure
from victor_dsl.language.boundary import is_fault
from victor_dsl.language.component import Context
from victor_dsl.language.config import Nested, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn


class Config(ToolSelectionConfig):
    """Narrows the tools by several strategies in turn: each selects from what the one before it selected.

    A step may select any number of tools unless it has its own `k`; the chain's `k` applies at the end. A step that fails or
    finds nothing is skipped, unless it has its own `fallback`. Where no step finds anything, the chain's fallback selects.
    """

    steps: Annotated[list[str | dict[str, Any]], Nested("tool_selection")] = Field(
        min_length=1,
        description="The strategies, the first one first: each a word or a map, as under `tool_selection`.",
        examples=[[{"type": "cost", "max_cost": "medium"}, "domain", "keyword"]],
    )


EXAMPLE = "{type: chain, k: 8, steps: [{type: cost, max_cost: medium}, domain, keyword]}"


class Chain:
    """Runs the strategies one after the other."""

    def __init__(self, steps: Sequence[tuple[str, ToolSelection]]) -> None:
        self._steps = steps

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        k = turn.settings.k
        unbounded = turn.replace(settings=turn.settings.replace(k=None))
        left, found_any = tools, False
        for node, step in self._steps:
            try:
                found = await step.select(left, unbounded)
            except BaseException as error:
                if not is_fault(error):
                    raise
                record_failure(error, node, turn)
                continue
            if found:
                left, found_any = found, True
        return left[:k] if found_any else ()

    def admit(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """The tools within the limits of all steps."""
        for _, step in self._steps:
            tools = admitted(step, tools)
        return tools

    async def prepare(self, turns: Sequence[Turn]) -> None:
        """Does the slow part of the steps for several turns at once."""
        for _, step in self._steps:
            await prepare(step, turns)


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, made of the steps that the spec lists."""
    return nested(Chain([(str(step), context.live(str(step))) for step in config.steps]), config, context)
