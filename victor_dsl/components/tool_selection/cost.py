"""Tool selection by what a call costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from victor_dsl.components.ranking.nested import nested
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import COST_TIERS, CostTier, Tool, price_order
from victor_dsl.values.turn import Turn


class Config(ToolSelectionConfig):
    """Leaves out the tools that cost more than the maximum, and offers the cheaper ones first.

    The maximum is a limit, not a preference: no fallback offers a tool above it, either. In a `chain`, write this step before
    those that rank by relevance: they keep its order among equals.
    """

    max_cost: CostTier | None = Field(
        None, description="The most expensive tier that is offered: `free`, `low`, `medium` or `high`."
    )
    max_cost_usd: float | None = Field(None, ge=0, description="The most that one call may cost, in US dollars.")
    unpriced: Literal["keep", "drop"] = Field(
        "keep",
        description="Whether tools without a price are offered (`keep`) or left out (`drop`) where there is a maximum.",
    )
    prefer_cheap: bool = Field(True, description="Whether cheaper tools come first. If false, the order is unchanged.")


EXAMPLE = "{type: cost, max_cost: medium, max_cost_usd: 0.01}"


class Cost:
    """Drops what is above the maximum, and sorts by tier, then by price; tools without one come last."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._highest_tier = None if config.max_cost is None else COST_TIERS.index(config.max_cost)

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        found = self.admit(tools)
        if self._config.prefer_cheap:
            found = sorted(found, key=price_order)
        return found[: turn.settings.k]

    def admit(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """The tools within the maximum."""
        return [tool for tool in tools if self._is_within(tool)]

    def _is_within(self, tool: Tool) -> bool:
        most_usd, keep = self._config.max_cost_usd, self._config.unpriced == "keep"
        if self._highest_tier is not None and not (
            keep if tool.cost is None else COST_TIERS.index(tool.cost) <= self._highest_tier
        ):
            return False
        if most_usd is None:
            return True
        usd = 0.0 if tool.cost == "free" and tool.cost_usd is None else tool.cost_usd
        return keep if usd is None else usd <= most_usd


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy; it has no state."""
    return nested(Cost(config), config, context)
