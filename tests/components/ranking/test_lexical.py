"""Indexes of catalogues: built once, shared by parts, and off the event loop where they are large."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.components.tool_selection.selecting import asking, tool
from victor_dsl.components.ranking import lexical
from victor_dsl.components.ranking.bm25 import Index
from victor_dsl.components.ranking.catalogue import LARGE, Latest
from victor_dsl.components.ranking.lexical import LexicalRanking
from victor_dsl.values.tool import Tool

TOOLS = tuple(tool(f"tool_{n}", "weather") for n in range(5))


async def test_an_index_is_built_once_for_a_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    class Counted(Index):
        def __init__(self, tools: tuple[Tool, ...]) -> None:
            built.append(len(tools))
            super().__init__(tools)

    monkeypatch.setattr(lexical, "Index", Counted)
    strategy = LexicalRanking()
    turn = asking("weather")
    for _ in range(3):
        await strategy.select(TOOLS, turn)
        await strategy.select([Tool(t.name, t.description, dict(t.parameters)) for t in TOOLS], turn)
    assert built == [5]
    monkeypatch.setattr(strategy._indexes, "_small", Latest(4))
    built.clear()
    for size in (2, 1, 3, 5, 2):
        await strategy.select(TOOLS[:size], turn)
    assert built == [2, 1, 3, 5], "the latest are cached"
    for size in (4, 2, 5, 1):
        await strategy.select(TOOLS[:size], turn)
    assert built == [2, 1, 3, 5, 4, 1], "the least recently used goes"


async def test_a_large_part_of_a_catalogue_uses_the_catalogue_s_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[int] = []

    class Counted(Index):
        def __init__(self, tools: tuple[Tool, ...]) -> None:
            built.append(len(tools))
            super().__init__(tools)

    monkeypatch.setattr(lexical, "Index", Counted)
    many = tuple(tool(f"tool_{n}", "red" if n % 2 else "blue") for n in range(LARGE + 50))
    strategy = LexicalRanking()
    turn = asking("tool 7, tool 9 or tool 8", k=2, tools=many)
    for start in range(5):
        found = await strategy.select(many[start : start + LARGE], turn)
        assert [tool.name for tool in found] == ["tool_7", "tool_8"]
    without = tuple(tool for tool in many if tool.name != "tool_7")
    assert [tool.name for tool in await strategy.select(without, turn)] == ["tool_8", "tool_9"]
    assert built == [LARGE + 50]
    others = tuple(tool(f"tool_{n}") for n in range(LARGE))
    assert [tool.name for tool in await strategy.select(others, turn)] == ["tool_7", "tool_8"]
    assert built == [LARGE + 50, LARGE], "tools that are not the turn's are a catalogue by themselves"


async def test_the_index_of_a_large_catalogue_is_built_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    in_main_thread: list[bool] = []

    class Watched(Index):
        def __init__(self, tools: tuple[Tool, ...]) -> None:
            in_main_thread.append(threading.current_thread() is threading.main_thread())
            super().__init__(tools)

    monkeypatch.setattr(lexical, "Index", Watched)
    many = [tool(f"tool_{n}") for n in range(LARGE)]
    strategy = LexicalRanking()
    turn = asking("tool 7", k=1)
    found = await asyncio.gather(*(strategy.select(many, turn) for _ in range(3)))
    assert [[tool.name for tool in each] for each in found] == [["tool_7"]] * 3
    assert in_main_thread == [False], "of turns at the same time one builds it"
