"""The lexical index."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.tool_selection.selecting import tool
from victor_dsl.components.ranking import bm25
from victor_dsl.components.ranking.bm25 import Index, best_first
from victor_dsl.components.ranking.query import read
from victor_dsl.values.tool import Tool

TOOLS = (
    tool("getWeatherForecast", "The weather forecast of a city for some days."),
    tool("getWeatherHistory", "The weather of a city on a day that has passed."),
    tool("cancel_reservation", "Ends what was reserved."),
    tool("search2", "", parameters={"properties": {"airport": {"type": "string"}}}),
    tool("订票", "预订机票"),
)
TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from(
    ["weather forecast", "the weather", "cancel. Then email!", "天气", "\ud800", "🌦️"]
)


@given(
    st.lists(st.sampled_from(TOOLS), max_size=12),
    st.lists(TEXTS, max_size=4),
    st.data(),
)
def test_numpy_narrows_a_catalogue_down_without_changing_a_score(
    tools: list[Tool], texts: list[str], data: st.DataObject
) -> None:
    request = read(". ".join(texts))
    index = Index(tuple(tools))
    whole = index.scores(request, range(len(tools)))
    assert whole == pytest.approx(index.scores(request), rel=1e-4)
    among = data.draw(st.sets(st.integers(0, max(len(tools) - 1, 0)), max_size=len(tools)))
    assert index.scores(request, among).keys() == whole.keys() & among


def test_the_best_tools_of_a_large_catalogue_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tuple(tool(f"tool_{n}", "red " * (n % 7)) for n in range(50))
    request = read("red tool 3")
    exact = best_first(Index(tools).scores(request))
    monkeypatch.setattr(bm25, "FINALISTS", 10)
    assert best_first(Index(tools).scores(request))[:5] == exact[:5]
    assert len(Index(tools).scores(request)) == 10
