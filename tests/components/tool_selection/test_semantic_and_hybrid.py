"""Tools by meaning, and by meaning and words together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from tests.components.tool_selection.selecting import Counting, asking, embedder, names, strategy, tool
from tests.transcripts import TRANSCRIPTS, message
from victor_dsl.values.message import Message
from victor_dsl.values.tool import Tool

TOOLS = (
    tool("getWeatherForecast", "The outlook for some days."),
    tool("cancel_reservation", "Ends what was booked."),
    tool("sendEmail", "Delivers a letter to an address."),
    tool("search_flights", "Finds flights between two airports."),
)
NEEDS = {"embedders/words": embedder()}


class Fixed:
    """An embedder whose vectors the test gives by their texts' first word."""

    def __init__(self, vectors: dict[str, Sequence[float]]) -> None:
        self.vectors = vectors

    async def embed(self, texts: Sequence[str]) -> Any:
        return np.array([self.vectors.get(text.split(".")[0].split()[0], (0, 0)) for text in texts], dtype=np.float32)


def semantic(needs: dict[str, Any] | None = None) -> Any:
    return strategy("semantic", needs or NEEDS, embedder="embedders/words")


def hybrid(needs: dict[str, Any] | None = None, **config: Any) -> Any:
    return strategy("hybrid", needs or NEEDS, embedder="embedders/words", **config)


@pytest.mark.parametrize("type", ["tfidf", "hashing"])
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("what will the weather be?", "getWeatherForecast"),
        ("cancel the reservation", "cancel_reservation"),
        ("flights between the airports", "search_flights"),
        ("a letter to this address", "sendEmail"),
    ],
)
async def test_the_nearest_tool_comes_first(type: str, text: str, name: str) -> None:
    live = semantic({"embedders/words": embedder(type)})
    assert await names(live, TOOLS, asking(text, k=1)) == [name]


async def test_tools_are_embedded_once_and_a_request_once_a_turn() -> None:
    counting = Counting()
    live = semantic({"embedders/words": counting})
    await asyncio.gather(*(live.select(TOOLS, asking("the weather")) for _ in range(3)))
    await live.select(tuple(Tool(t.name, t.description) for t in TOOLS), asking("the weather tomorrow"))
    assert [len(texts) for texts in counting.calls].count(4) == 1, "tools that are equal are the same"
    assert [len(texts) for texts in counting.calls].count(1) == 4
    await live.select(TOOLS[:3], asking("the weather"))
    assert [len(texts) for texts in counting.calls].count(3) == 1


async def test_names_are_embedded_as_words() -> None:
    counting = Counting()
    await semantic({"embedders/words": counting}).select(TOOLS, asking("mail"))
    assert counting.calls[0][0] == "get Weather Forecast. The outlook for some days."


async def test_a_short_answer_is_read_with_what_was_asked() -> None:
    counting = Counting()
    live = semantic({"embedders/words": counting})
    await live.select(TOOLS, asking("book a flight", message("assistant", "Shall I cancel the reservation?"), "yes"))
    assert counting.calls[-1] == ["book a flight\nShall I cancel the reservation?\nyes"]
    await live.select(TOOLS, asking("book a flight", "now tell me the weather forecast for tomorrow in Berlin"))
    assert counting.calls[-1] == ["now tell me the weather forecast for tomorrow in Berlin"]


@pytest.mark.parametrize("make", [semantic, hybrid])
@pytest.mark.parametrize("text", ["", "!!!", "zzzz qqqq xxxx wwww"])
async def test_a_request_that_is_near_to_nothing_finds_nothing(make: Any, text: str) -> None:
    assert await names(make(), TOOLS, asking(text)) == []


async def test_vectors_that_are_no_numbers_are_near_to_nothing() -> None:
    nan = float("nan")
    needs = {"embedders/words": Fixed({"a": (nan, nan), "b": (1, 0), "ask": (1, 0)})}
    assert (await names(semantic(needs), (tool("a"), tool("b")), asking("ask for it")))[0] == "b"


TWO = (tool("near", "Something else."), tool("ask", "Something else."))
OPPOSED = {"embedders/words": Fixed({"near": (1, 0), "ask": (0.2, 0.98), "ask me": (1, 0), "please": (1, 0)})}


async def test_recipe_8_the_weights_of_hybrid_have_an_effect() -> None:
    """By words `ask` is the best, by meaning `near`."""
    turn = asking("please ask")
    for alpha, first in ((0.0, "ask"), (0.2, "ask"), (0.9, "near"), (1.0, "near")):
        assert (await names(hybrid(OPPOSED), TWO, turn.replace(settings=asking(alpha=alpha).settings)))[0] == first
        own = strategy("hybrid", OPPOSED, node="tool_selection/chain.steps.0", embedder="embedders/words", alpha=alpha)
        against = asking("please ask", alpha=1 - alpha)
        assert (await names(own, TWO, against))[0] == first, "as a step its own alpha counts"


@given(TRANSCRIPTS)
def test_with_one_weight_alone_hybrid_is_semantic_or_keyword(messages: tuple[Message, ...]) -> None:
    async def compare() -> None:
        for alpha, other in ((1.0, semantic()), (0.0, strategy("keyword"))):
            turn = asking(*messages, alpha=alpha)
            assert await names(hybrid(), TOOLS, turn) == await names(other, TOOLS, turn)

    asyncio.run(compare())


async def test_without_any_setting_both_weigh_the_same() -> None:
    turn = asking("please ask")
    half = asking("please ask", alpha=0.5)
    assert await names(hybrid(OPPOSED), TWO, turn) == await names(hybrid(OPPOSED), TWO, half)


async def test_with_words_alone_nothing_is_embedded() -> None:
    counting = Counting()
    await hybrid({"embedders/words": counting}).select(TOOLS, asking("the weather", alpha=0))
    assert counting.calls == []
