"""Tool selection that offers every tool."""

from __future__ import annotations

from collections.abc import Sequence

from victor_dsl.components.ranking.nested import nested
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn


class Config(ToolSelectionConfig):
    """Offers all tools in their order, or the first `k` of them."""


EXAMPLE = "{type: all}"


class All:
    """Keeps the order and cuts to `k`."""

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        return tools[: turn.settings.k]


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy; it has no state."""
    return nested(All(), config, context)
