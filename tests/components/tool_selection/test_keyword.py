"""Tools by the words they share with a request."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import TURN, surroundings
from tests.transcripts import TRANSCRIPTS, message
from victor_dsl.components.ranking import bm25, lexical, query
from victor_dsl.components.ranking.bm25 import Index
from victor_dsl.components.ranking.catalogue import LARGE, Latest
from victor_dsl.components.ranking.lexical import LexicalRanking
from victor_dsl.components.ranking.query import query_of, read
from victor_dsl.components.ranking.words import terms
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


def test_names_are_split_at_humps_underscores_and_digits() -> None:
    assert terms("getHTTPResponse2_for userID") == ["get", "http", "respons", "2", "user", "id"]


@pytest.mark.parametrize("words", ["fly flying", "cancel cancelled canceling", "city cities", "book books booking"])
def test_forms_of_one_word_are_one_term(words: str) -> None:
    assert len(set(terms(words))) == 1


def test_numbers_are_whole_terms() -> None:
    assert terms("4711 471 100 1000 2200 220") == ["4711", "471", "100", "1000", "2200", "220"]


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


async def test_an_index_is_built_once_for_a_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    class Counted(Index):
        def __init__(self, tools: tuple[Tool, ...]) -> None:
            built.append(len(tools))
            super().__init__(tools)

    monkeypatch.setattr(lexical, "Index", Counted)
    strategy = LexicalRanking()
    turn = TURN.replace(messages=(message("user", "weather"),))
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
    turn = TURN.replace(messages=(message("user", "tool 7, tool 9 or tool 8"),), settings=Settings(k=2), tools=many)
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
    turn = TURN.replace(messages=(message("user", "tool 7"),), settings=Settings(k=1))
    found = await asyncio.gather(*(strategy.select(many, turn) for _ in range(3)))
    assert [[tool.name for tool in each] for each in found] == [["tool_7"]] * 3
    assert in_main_thread == [False], "of turns at the same time one builds it"


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


@given(
    st.lists(st.sampled_from([*TOOLS, *ASKING_TWICE]), max_size=12),
    st.lists(TEXTS | st.just("the weather"), max_size=4),
    st.data(),
)
def test_numpy_narrows_a_catalogue_down_without_changing_a_score(
    tools: list[Tool], texts: list[str], data: st.DataObject
) -> None:
    request = query_of(TURN.replace(messages=(message("user", ". ".join(texts)),)))
    index = Index(tuple(tools))
    whole = index.scores(request, range(len(tools)))
    assert whole == pytest.approx(index.scores(request), rel=1e-4)
    among = data.draw(st.sets(st.integers(0, max(len(tools) - 1, 0)), max_size=len(tools)))
    assert index.scores(request, among).keys() == whole.keys() & among


def test_the_best_tools_of_a_large_catalogue_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tuple(tool(f"tool_{n}", "red " * (n % 7)) for n in range(50))
    request = read("red tool 3")
    exact = bm25.best_first(Index(tools).scores(request))
    monkeypatch.setattr(bm25, "FINALISTS", 10)
    assert bm25.best_first(Index(tools).scores(request))[:5] == exact[:5]
    assert len(Index(tools).scores(request)) == 10


def test_a_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[str] = []
    monkeypatch.setattr(query, "terms", lambda text: split.append(text) or terms(text))  # type: ignore[func-returns-value]
    history = (message("user", "is parcel 17 late, or not?"), message("assistant", "It is late by 3 days, in fact."))
    for question in ("why is that?", "since when is that?", "why is that?"):
        query_of(TURN.replace(messages=(*history, message("user", question))))
    assert len(split) == len(set(split)) > 0


def test_a_long_text_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[str] = []
    monkeypatch.setattr(query, "terms", lambda text: split.append(text) or terms(text))  # type: ignore[func-returns-value]
    text = "weather " * query.LONGEST_REMEMBERED
    read(text)
    read(text)
    assert len(split) == 2
