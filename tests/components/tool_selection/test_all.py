"""Every tool, in its order."""

from __future__ import annotations

from pathlib import Path

from tests.components.context import TURN, surroundings
from victor_dsl.components.tool_selection.all import Config, build
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool

TOOLS = [Tool("c"), Tool("a"), Tool("b")]


async def test_the_order_stays(tmp_path: Path) -> None:
    strategy = build(Config(), surroundings(tmp_path, "tool_selection/all").context)
    assert await strategy.select(TOOLS, TURN) == TOOLS


async def test_the_first_k_are_offered(tmp_path: Path) -> None:
    strategy = build(Config(), surroundings(tmp_path, "tool_selection/all").context)
    assert await strategy.select(TOOLS, TURN.replace(settings=Settings(k=2))) == TOOLS[:2]
