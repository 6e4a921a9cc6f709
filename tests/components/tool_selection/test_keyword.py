"""Tools by the words they share with a request."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import TURN, surroundings
from tests.transcripts import TRANSCRIPTS, message
from victor_dsl.components.ranking.lexical import LexicalRanking
from victor_dsl.components.tool_selection.keyword import Config, build
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
    return [tool.name for tool in await LexicalRanking().select(tools, turn)]


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


async def test_a_number_does_not_match_a_similar_one() -> None:
    tools = [tool("invoice_471"), tool("invoice_4711"), tool("invoice_47110")]
    assert await names("invoice 4711", tools=tools) == ["invoice_4711"]
    assert await names("47112", tools=tools) == []


async def test_a_name_counts_more_than_a_mention() -> None:
    tools = [tool("notes", "Notes that the calendar was changed."), tool("calendar", "Notes what is planned.")]
    assert await names("show the calendar", tools=tools) == ["calendar"]


async def test_ties_keep_their_order_and_other_tools_fill_up() -> None:
    tools = [tool("x"), tool("read_b"), tool("y"), tool("read_c")]
    assert await names("read", tools=tools, k=3) == ["read_b", "read_c", "x"]
    assert await names("read", tools=tools, k=None) == ["read_b", "read_c", "x", "y"]
    assert await names("go swim", tools=[tool("swim"), tool("go")], k=2) == ["swim", "go"]


@pytest.mark.parametrize("text", ["", "yes", "the and of", "!!!", "zzz"])
async def test_a_request_that_matches_nothing_finds_nothing(text: str) -> None:
    assert await names(text, k=3) == []


async def test_a_short_message_is_read_with_those_before_it() -> None:
    question = message("assistant", "Shall I cancel it?")
    assert await names("the weather is bad", question, "yes") == ["cancel_reservation"]


async def test_a_message_with_enough_terms_is_read_alone() -> None:
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


@pytest.mark.parametrize(
    "schema",
    [{}, {"properties": None}, {"properties": {"a": True, "b": {"description": 7, "items": []}}}, None, [], "text"],
)
async def test_a_malformed_schema_is_ignored(schema: Any) -> None:
    assert await names("weather", tools=[Tool("a", "", schema), Tool("weather", "", schema)]) == ["weather"]


async def test_a_schema_that_contains_itself_is_read_to_a_limited_depth() -> None:
    schema: dict[str, Any] = {"properties": {}}
    schema["properties"]["deeper"] = schema
    assert await names("deeper", tools=[Tool("a", "", schema)]) == ["a"]


@given(TRANSCRIPTS, st.lists(st.sampled_from(TOOLS), unique_by=lambda tool: tool.name), st.integers(1, 5))
async def test_any_conversation_selects_a_part_of_the_tools(
    messages: tuple[Message, ...], tools: list[Tool], k: int
) -> None:
    found = await names(*messages, tools=tools, k=k)
    assert len(set(found)) == len(found) <= k
    assert set(found) <= {tool.name for tool in tools}
    assert found == await names(*messages, tools=tools, k=k)


async def test_it_is_built_without_an_index(tmp_path: Path) -> None:
    strategy = build(Config(k=2), surroundings(tmp_path, "tool_selection/keyword").context)
    assert list(await strategy.select([], TURN)) == []


ASKING_TWICE = (
    tool("getWeatherForecast", "The weather forecast of a city for some days."),
    tool("getWeatherHistory", "The weather of a city on a day that has passed."),
    tool("getWeatherAlerts", "The warnings of weather for a city."),
    tool("sendEmail", "Sends a letter.", to={"type": "string", "description": "The address."}),
)


async def test_each_of_several_requests_in_a_message_finds_its_tool() -> None:
    text = "What will the weather forecast for the city of Oslo be in the next days? Then send it to Ann."
    assert set(await names(text, tools=ASKING_TWICE, k=2)) == {"getWeatherForecast", "sendEmail"}


async def test_a_complete_name_comes_before_a_part_of_a_longer_one() -> None:
    tools = [tool("get_order_history_archive"), tool("get_order")]
    assert await names("get the order", tools=tools) == ["get_order"]
    assert await names("get the archive of the order history", tools=tools) == ["get_order_history_archive"]


async def test_enum_values_find_a_tool() -> None:
    tools = [
        tool("a", unit={"enum": ["celsius", 7]}),
        tool("b", unit={"enum": ["miles", None]}),
        tool("c", u={"enum": "x"}),
    ]
    assert await names("how many miles", tools=tools) == ["b"]


@pytest.mark.parametrize("text", ["the reservaton", "weatherforecast", "recipients' adresses"])
async def test_an_unknown_word_matches_words_spelled_like_it(text: str) -> None:
    found = await names(text)
    assert found[0] in {"cancel_reservation", "getWeatherForecast", "sendEmail"}
    assert await names("qwertyuiop") == []


async def test_polite_words_and_numbers_count_little() -> None:
    tools = [tool("help", "Help."), tool("orders_4", "Four."), tool("find_provider", "Finds a salon.")]
    assert await names("Hello! I need help: find a salon for 4 people", tools=tools) == ["find_provider"]
    assert await names("help", tools=tools) == ["help"]
    assert await names("4", tools=tools) == ["orders_4"]


@pytest.mark.parametrize(
    ("text", "name"),
    [("อากาศวันนี้เป็นอย่างไร", "อากาศ"), ("今天的天气怎么样。订票。", "天气"), ("прогнозы погоды", "прогноз")],
)
async def test_names_of_any_script_are_found(text: str, name: str) -> None:
    tools = [tool("other", "Something else."), tool("อากาศ"), tool("天气"), tool("прогноз")]
    assert await names(text, tools=tools) == [name]


async def test_only_the_beginning_of_a_description_is_read() -> None:
    tools = [tool("a", "x " * 500_000 + "needle"), tool("b", "needle")]
    assert (await names("needle", tools=tools, k=2)) == ["b", "a"]


TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["weather forecast", "cancel. Then email!", "天气", "\ud800", "🌦️"]
)


@given(
    st.lists(st.builds(tool, TEXTS, TEXTS, filters=st.dictionaries(TEXTS, TEXTS, max_size=2)), max_size=8),
    TEXTS,
    st.none() | st.integers(1, 9),
)
def test_any_tools_and_any_request_select_a_part_of_the_tools(tools: list[Tool], text: str, k: int | None) -> None:
    found = asyncio.run(names(text, text, tools=tools, k=k))
    assert len(found) <= len(tools) if k is None else len(found) <= min(k, len(tools))
    assert not Counter(found) - Counter(tool.name for tool in tools)
