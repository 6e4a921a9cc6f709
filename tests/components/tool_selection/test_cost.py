"""Tools by what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.tool_selection.selecting import asking, names, strategy, tool
from victor_dsl.components.tool_selection.cost import Cost

TOOLS = (
    tool("expert", cost="high", cost_usd=2.0),
    tool("plain"),
    tool("search", cost="low", cost_usd=0.002),
    tool("search_more", cost="low", cost_usd=0.001),
    tool("low", cost="low"),
    tool("read", cost="free"),
    tool("priced", cost_usd=0.5),
    tool("report", cost="medium", cost_usd=0.05),
)
ALL_BY_PRICE = ["read", "search_more", "search", "low", "report", "expert", "priced", "plain"]


@pytest.mark.parametrize(
    ("config", "offered"),
    [
        ({}, ALL_BY_PRICE),
        ({"max_cost": "free"}, ["read", "priced", "plain"]),
        ({"max_cost": "low"}, ["read", "search_more", "search", "low", "priced", "plain"]),
        ({"max_cost": "low", "unpriced": "drop"}, ["read", "search_more", "search", "low"]),
        ({"max_cost": "high"}, ALL_BY_PRICE),
        ({"max_cost_usd": 0.001}, ["read", "search_more", "low", "plain"]),
        ({"max_cost_usd": 0.001, "unpriced": "drop"}, ["read", "search_more"]),
        ({"max_cost_usd": 0}, ["read", "low", "plain"]),
        ({"max_cost": "medium", "max_cost_usd": 0.01, "prefer_cheap": False}, ["plain", "search", "search_more", "low", "read"]),
    ],
)  # fmt: skip
async def test_tools_above_the_maximum_are_left_out_and_the_cheapest_comes_first(
    config: dict[str, Any], offered: list[str]
) -> None:
    live = strategy("cost", **config)
    assert await names(live, TOOLS, asking("anything")) == offered
    assert await names(live, TOOLS, asking("anything", k=2)) == offered[:2]
    assert isinstance(live, Cost)
    assert {tool.name for tool in live.admit(TOOLS)} == set(offered)
