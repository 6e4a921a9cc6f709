"""Tools by the words they share with a request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import TURN, surroundings
from tests.transcripts import TRANSCRIPTS, message
from victor_dsl.components.tool_selection import keyword
from victor_dsl.components.tool_selection._lexical import Index, terms
from victor_dsl.components.tool_selection.keyword import OFF_LOOP_TOOLS, Config, Keyword, build
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool


def tool(name: str, description: str = "", **parameters: Any) -> Tool:
    return Tool(name, description, {"type": "object", "properties": parameters})


TOOLS = (
    tool("getWeatherForecast", "The outlook for some days."),
    tool("cancel_reservation", "Ends what was reserved.", reservation_id={"type": "string"}),
    tool("sendEmail", "Delivers a letter.", to={"type": "string", "description": "The recipient's address."}),
    tool("search2", "", filters={"type": "object", "properties": {"airport": {"type": "string"}}}),
    tool("订票", "预订机票"),
)


async def names(*messages: Message | str, tools: Sequence[Tool] = TOOLS, k: int | None = 1) -> list[str]:
    conversation = tuple(message("user", m) if isinstance(m, str) else m for m in messages)
    turn = TURN.replace(messages=conversation, settings=Settings(k=k))
    return [tool.name for tool in await Keyword(asyncio.to_thread).select(tools, turn)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("What will the weather be?", "getWeatherForecast"),
        ("I want my reservations cancelled", "cancel_reservation"),
        ("emails", "sendEmail"),
        ("who is the recipient", "sendEmail"),
        ("which AIRPORTS are near?", "search2"),
        ("我想预订去上海的机票", "订票"),
    ],
)
async def test_a_word_of_name_description_or_parameters_finds_the_tool(text: str, name: str) -> None:
    assert await names(text) == [name]


def test_names_are_split_at_humps_underscores_and_digits() -> None:
    assert list(terms("getHTTPResponse2_for userID")) == ["get", "http", "respons", "2", "user", "id"]


@pytest.mark.parametrize("words", ["fly flying", "cancel cancelled canceling", "city cities", "book books booking"])
def test_forms_of_one_word_are_one_term(words: str) -> None:
    assert len(set(terms(words))) == 1


async def test_a_tool_s_own_name_counts_more_than_a_mention() -> None:
    tools = [tool("notes", "Notes that the calendar was changed."), tool("calendar", "Notes what is planned.")]
    assert await names("show the calendar", tools=tools) == ["calendar"]


async def test_equals_keep_their_order_and_the_rest_fills_up() -> None:
    tools = [tool("x"), tool("read_b"), tool("y"), tool("read_c")]
    assert await names("read", tools=tools, k=3) == ["read_b", "read_c", "x"]
    assert await names("read", tools=tools, k=None) == ["read_b", "read_c", "x", "y"]
    assert await names("go swim", tools=[tool("swim"), tool("go")], k=2) == ["swim", "go"]


@pytest.mark.parametrize("text", ["", "yes", "the and of", "!!!", "zzz"])
async def test_a_request_that_matches_nothing_finds_nothing(text: str) -> None:
    assert await names(text, k=3) == []


async def test_a_short_answer_is_read_with_what_was_asked() -> None:
    asked = message("assistant", "Shall I cancel it?")
    assert await names("the weather is bad", asked, "yes") == ["cancel_reservation"]


async def test_a_telling_message_stands_alone() -> None:
    assert await names("cancel it", "no, tell me tomorrow's weather forecast outlook instead") == ["getWeatherForecast"]


async def test_results_of_tools_are_not_read() -> None:
    result = message("tool", "weather forecast weather", answers="a")
    assert await names("email", message("assistant", calls=["a"]), result, "go on") == ["sendEmail"]


async def test_both_ends_of_a_pasted_file_are_read() -> None:
    assert (await names("the weather?\n" + "x1 " * 400_000))[0] == "getWeatherForecast"
    assert (await names("x1 " * 400_000 + "\nthe weather?"))[0] == "getWeatherForecast"


async def test_a_conversation_without_a_user_finds_nothing() -> None:
    assert await names() == []
    assert await names(message("assistant", "weather")) == []


async def test_an_index_is_built_once_for_a_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    class Counted(Index):
        def __init__(self, tools: tuple[Tool, ...]) -> None:
            built.append(len(tools))
            super().__init__(tools)

    monkeypatch.setattr(keyword, "Index", Counted)
    strategy = Keyword(asyncio.to_thread)
    turn = TURN.replace(messages=(message("user", "weather"),))
    for _ in range(3):
        await strategy.select(TOOLS, turn)
        await strategy.select([Tool(t.name, t.description, dict(t.parameters)) for t in TOOLS], turn)
    assert built == [5]
    await strategy.select(TOOLS[:2], turn)
    await strategy.select(TOOLS, turn)
    assert built == [5, 2]
    for size in (1, 3, 2, 5, 1, 3):
        await strategy.select(TOOLS[:size], turn)
    assert built == [5, 2, 1, 3], "the four latest are kept"
    for size in (4, 5, 2):
        await strategy.select(TOOLS[:size], turn)
    assert built == [5, 2, 1, 3, 4, 2], "the one asked for the longest ago goes"


async def test_the_index_of_a_large_catalogue_is_built_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    in_main_thread: list[bool] = []

    class Watched(Index):
        def __init__(self, tools: tuple[Tool, ...]) -> None:
            in_main_thread.append(threading.current_thread() is threading.main_thread())
            super().__init__(tools)

    monkeypatch.setattr(keyword, "Index", Watched)
    many = [tool(f"tool_{n}") for n in range(OFF_LOOP_TOOLS)]
    assert await names("tool 7", tools=many) == ["tool_7"]
    assert await names("tool 7", tools=many[:-1]) == ["tool_7"]
    assert in_main_thread == [False, True]


@pytest.mark.parametrize(
    "schema",
    [{}, {"properties": None}, {"properties": {"a": True, "b": {"description": 7, "items": []}}}, None, [], "text"],
)
async def test_a_schema_that_is_none_hurts_nobody(schema: Any) -> None:
    assert await names("weather", tools=[Tool("a", "", schema), Tool("weather", "", schema)]) == ["weather"]


async def test_a_schema_that_contains_itself_ends() -> None:
    schema: dict[str, Any] = {"properties": {}}
    schema["properties"]["deeper"] = schema
    assert Index((Tool("a", "", schema),)).rank({"deep": 1.0, "deeper": 1.0}) == [0]


@given(TRANSCRIPTS, st.lists(st.sampled_from(TOOLS), unique_by=lambda tool: tool.name), st.integers(1, 5))
async def test_any_conversation_gives_a_part_of_the_tools(
    messages: tuple[Message, ...], tools: list[Tool], k: int
) -> None:
    found = await names(*messages, tools=tools, k=k)
    assert len(set(found)) == len(found) <= k
    assert set(found) <= {tool.name for tool in tools}
    assert found == await names(*messages, tools=tools, k=k)


async def test_it_is_built_without_an_index(tmp_path: Path) -> None:
    strategy = build(Config(k=2), surroundings(tmp_path, "tool_selection/keyword").context)
    assert await strategy.select([], TURN) == ()
