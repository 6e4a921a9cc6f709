"""Tools by meaning, and by meaning and words together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from tests.components.tool_selection.selecting import Counting, asking, embedder, names, strategy, tool
from tests.transcripts import TRANSCRIPTS, message
from victor_dsl.components.ranking import vectors
from victor_dsl.components.tool_selection.hybrid import Config
from victor_dsl.errors import ComponentError
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


async def test_tools_are_embedded_once_and_a_request_once() -> None:
    counting = Counting()
    live = semantic({"embedders/words": counting})
    await asyncio.gather(*(live.select(TOOLS, asking("the weather")) for _ in range(3)))
    await live.select(tuple(Tool(t.name, t.description) for t in TOOLS), asking("the weather tomorrow"))
    assert [len(texts) for texts in counting.calls].count(4) == 1, "tools that are equal are the same"
    assert counting.calls[1:] == [["the weather"], ["the weather tomorrow"]]
    await live.select(TOOLS[:3], asking("the weather"))
    assert len(counting.calls) == 3, "a part of them is known, too"


async def test_names_are_embedded_as_words() -> None:
    counting = Counting()
    await semantic({"embedders/words": counting}).select(TOOLS, asking("mail"))
    assert counting.calls[0][0] == "get Weather Forecast. The outlook for some days."


async def test_a_short_message_is_read_with_those_before_it() -> None:
    counting = Counting()
    live = semantic({"embedders/words": counting})
    await live.select(TOOLS, asking("book a flight", message("assistant", "Shall I cancel the reservation?"), "yes"))
    assert counting.calls[-1] == ["book a flight\nShall I cancel the reservation?\nyes"]
    await live.select(TOOLS, asking("book a flight", "now tell me the weather forecast for tomorrow in Berlin"))
    assert counting.calls[-1] == ["now tell me the weather forecast for tomorrow in Berlin"]


@pytest.mark.parametrize("make", [semantic, hybrid])
@pytest.mark.parametrize("text", ["", "!!!", "zzzz qqqq xxxx wwww"])
async def test_a_request_near_no_tool_finds_nothing(make: Any, text: str) -> None:
    assert await names(make(), TOOLS, asking(text)) == []


async def test_vectors_of_nan_are_near_no_tool() -> None:
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


@settings(max_examples=30)
@given(TRANSCRIPTS)
def test_with_all_weight_on_one_side_hybrid_is_semantic_or_keyword(messages: tuple[Message, ...]) -> None:
    async def compare() -> None:
        for alpha, other in ((1.0, semantic()), (0.0, strategy("keyword"))):
            turn = asking(*messages, alpha=alpha)
            assert await names(hybrid(), TOOLS, turn) == await names(other, TOOLS, turn)

    asyncio.run(compare())


async def test_by_default_the_weight_grows_with_how_far_a_tool_stands_out() -> None:
    """By words `ask` is the best, by meaning `near`; `far` makes the mean."""
    tools = (*TWO, tool("far", "Something."))
    clear: dict[str, Sequence[float]] = {"near": (1, 0), "ask": (0, 1), "please": (1, 0)}
    vague: dict[str, Sequence[float]] = {"near": (1, 0), "ask": (0.99, 0.14), "far": (0.99, 0.14), "please": (1, 0)}
    for given_vectors, first in ((clear, "near"), (vague, "ask")):
        assert (await names(hybrid({"embedders/words": Fixed(given_vectors)}), tools, asking("please ask")))[0] == first


async def test_without_an_embedder_hybrid_is_keyword() -> None:
    for text in ("the weather", "zzz", "Cancel the flight. Then send a letter."):
        found = [await names(strategy(type), TOOLS, asking(text, k=3)) for type in ("hybrid", "keyword")]
        assert found[0] == found[1]


def test_alpha_without_an_embedder_is_a_fault() -> None:
    with pytest.raises(ValidationError, match="needs an 'embedder'"):
        Config(alpha=0.7)


class Late:
    """An embedder that never answers, or only from that call on."""

    def __init__(self, answers_from: float = math.inf) -> None:
        self.answers_from = answers_from
        self.calls: list[Sequence[str]] = []

    async def embed(self, texts: Sequence[str]) -> Any:
        self.calls.append(texts)
        if len(self.calls) < self.answers_from:
            await asyncio.Event().wait()
        return np.ones((len(texts), 2), dtype=np.float32)


class Broken:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def embed(self, texts: Sequence[str]) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


BROKEN = [OSError("it is down"), asyncio.CancelledError(), SystemExit(3), np.ones((1, 1, 1)), []]


@pytest.mark.parametrize("broken", [Late(), *map(Broken, BROKEN)])
async def test_words_select_while_an_embedder_fails_or_is_late_and_an_event_says_so(broken: Any) -> None:
    events: list[tuple[str, Any]] = []
    turn = asking("the weather forecast", k=2, record=lambda type, data: events.append((type, data)))
    live = hybrid({"embedders/words": broken}, deadline_seconds=0.01)
    assert await names(live, TOOLS, turn) == ["getWeatherForecast", "cancel_reservation"]
    assert [type for type, _ in events] == ["error"]
    assert "tool_selection/hybrid" in str(events[0][1])


async def test_semantic_reports_that_its_embedder_is_late() -> None:
    live = strategy("semantic", {"embedders/words": Late()}, embedder="embedders/words", deadline_seconds=0.01)
    with pytest.raises(ComponentError, match=r"took longer than 0\.01 s"):
        await live.select(TOOLS, asking("the weather"))


async def test_vectors_from_before_a_deadline_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BATCH", 2)
    seen: list[str] = []

    class Slow:
        async def embed(self, texts: Sequence[str]) -> Any:
            if len(seen) == 2:
                seen.append("waited")
                await asyncio.Event().wait()
            seen.extend(texts)
            return np.ones((len(texts), 2), dtype=np.float32)

    live = hybrid({"embedders/words": Slow()}, deadline_seconds=0.01)
    turn = asking("the weather", record=lambda type, data: None)
    await live.select(TOOLS, turn)
    assert seen[-1] == "waited"
    await live.select(TOOLS, turn)
    await live.select(TOOLS[:3], turn)
    assert len(seen) == len(set(seen)) == 4 + 1 + 1, "four tools, one wait, one request"


async def test_a_contextual_embedder_receives_a_catalogue_in_one_call() -> None:
    class Contextual(Counting):
        contextual = True

    counting = Contextual()
    live = semantic({"embedders/words": counting})
    many = tuple(tool(f"tool_{n}") for n in range(vectors.BATCH + 1))
    await live.select(many, asking("Cancel the weather forecast. Then send the letter."))
    assert [len(texts) for texts in counting.calls] == [len(many), 1, 1, 1]


async def test_the_latest_requests_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "REMEMBERED_TEXTS", 2)
    counting = Counting()
    live = semantic({"embedders/words": counting})
    for text in ("first thing", "second thing", "first thing", "third thing", "first thing", "second thing"):
        await live.select(TOOLS, asking(text))
    assert [texts[0] for texts in counting.calls[1:]] == ["first thing", "second thing", "third thing", "second thing"]


async def test_each_of_several_requests_in_a_message_is_embedded_by_itself() -> None:
    rows: dict[str, Sequence[float]] = {"a": (1, 0), "b": (0.4, 0), "c": (0, 1), "Do": (1, 0), "Make": (0, 1)}
    needs = {"embedders/words": Fixed(rows)}
    tools = (tool("a"), tool("b"), tool("c"))
    assert set(await names(semantic(needs), tools, asking("Do one thing here. Make another thing there.", k=2))) == {
        "a",
        "c",
    }


async def test_both_ends_of_a_long_request_are_embedded() -> None:
    counting = Counting()
    await semantic({"embedders/words": counting}).select(TOOLS, asking("the weather " + "x" * 9_000 + " the flight"))
    (text,) = counting.calls[-1]
    assert text.startswith("the weather")
    assert text.endswith("the flight")
    assert len(text) <= vectors.LONGEST_TEXT + 1


@pytest.mark.parametrize("make", [semantic, hybrid])
async def test_an_empty_list_of_tools_is_allowed(make: Any) -> None:
    assert await names(make(), (), asking("the weather")) == []


async def test_with_words_alone_nothing_is_embedded() -> None:
    counting = Counting()
    await hybrid({"embedders/words": counting}).select(TOOLS, asking("the weather", alpha=0))
    assert counting.calls == []
