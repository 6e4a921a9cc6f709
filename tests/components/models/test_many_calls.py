"""An answer with more tool calls than any model means is read in bounded time, and its surplus is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.models.asking import HELLO, Listener, asking
from tests.components.models.playback import Playback, events, streamed, whole
from tests.components.models.recorded import (
    ANTHROPIC_START,
    anthropic_end,
    anthropic_whole,
    block,
    called,
    openai_chunk,
    openai_whole,
    response,
    responses_stream,
    wrote,
)
from victor_dsl.components.api_tools import is_object
from victor_dsl.components.models.openai.streamed_calls import _Call
from victor_dsl.values.message import ToolCall
from victor_dsl.values.settings import MOST_TOOL_CALLS

COUNT = 20_000


def chat(number: int, first: dict[str, Any], rest: dict[str, Any]) -> list[dict[str, Any]]:
    """The two pieces of a call in the chat format."""
    begun = {**first, "function": {"name": "f", "arguments": '{"n": '}}
    ended = {**rest, "function": {"arguments": f"{number}}}"}}
    return [openai_chunk({"tool_calls": [piece]}) for piece in (begun, ended)]


def chat_stream(pieces: Callable[[int], list[dict[str, Any]]]) -> bytes:
    return events(
        *(piece for number in range(COUNT) for piece in pieces(number)), openai_chunk({}, "tool_calls"), "[DONE]"
    )


def chat_call(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"c{number}", "function": {"name": "f", "arguments": f'{{"n": {number}}}'}, **fields}


def tool_use(number: int, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"c{number}", "name": "f", "input": {"n": number}, **fields}


def messages_stream(index: Callable[[int], int]) -> bytes:
    """A stream of the messages API, with a text after the calls."""
    blocks = [block(index(n), tool_use(n, input={}), wrote('{"n": '), wrote(f"{n}}}")) for n in range(COUNT)]
    text = block(COUNT, {"type": "text", "text": "Done."})
    return events(ANTHROPIC_START, *(event for one in (*blocks, text) for event in one), *anthropic_end("tool_use"))


ITEMS = [called("f", f'{{"n": {number}}}', f"c{number}") for number in range(COUNT)]
STREAMS = [
    ("openai", "numbered", chat_stream(lambda n: chat(n, {"index": n, "id": f"c{n}"}, {"index": n}))),
    ("openai", "one index", chat_stream(lambda n: chat(n, {"index": 0, "id": f"c{n}"}, {"index": 0}))),
    ("openai", "ids alone", chat_stream(lambda n: chat(n, {"id": f"c{n}"}, {}))),
    ("openai", "one id", chat_stream(lambda n: [openai_chunk({"tool_calls": [chat_call(n, id="c0", index=n)]})])),
    ("responses", "numbered", events(*responses_stream(ITEMS))),
    ("responses", "without output", events(*responses_stream(ITEMS)[:-1], {"type": "response.completed"})),
    ("anthropic", "numbered", messages_stream(lambda n: n)),
    ("anthropic", "one index", messages_stream(lambda _: 0)),
]
WHOLES = [
    ("openai", openai_whole({"tool_calls": [chat_call(n) for n in range(COUNT)]}, "tool_calls")),
    ("openai", openai_whole({"tool_calls": [chat_call(n, id="c0") for n in range(COUNT)]}, "tool_calls")),
    ("responses", response(ITEMS)),
    ("anthropic", anthropic_whole([tool_use(n) for n in range(COUNT)], "tool_use")),
    ("anthropic", anthropic_whole([tool_use(n, id="c0") for n in range(COUNT)], "tool_use")),
]


def check(calls: tuple[ToolCall, ...]) -> None:
    assert [call.arguments.replace(" ", "") for call in calls] == [f'{{"n":{n}}}' for n in range(MOST_TOOL_CALLS)]
    assert len({call.id for call in calls}) == MOST_TOOL_CALLS


@pytest.mark.parametrize(
    ("type", "stream"),
    [(type, stream) for type, _, stream in STREAMS],
    ids=[f"{type}, {how}" for type, how, _ in STREAMS],
)
async def test_of_a_stream_with_20_000_calls_the_first_are_read(type: str, stream: bytes) -> None:
    async with Playback(streamed(stream, "end")) as server, asking(type, server.url) as model:
        reply = await model.answer(Listener().to(HELLO))
    check(reply.message.tool_calls)
    assert reply.stop_reason == "tool_calls"
    assert reply.message.text() == ("Done." if type == "anthropic" else "")


@pytest.mark.parametrize(("type", "answer"), WHOLES, ids=[type for type, _ in WHOLES])
async def test_of_an_answer_with_20_000_calls_the_first_are_read(type: str, answer: dict[str, Any]) -> None:
    async with Playback(whole(answer)) as server, asking(type, server.url) as model:
        reply = await model.answer(HELLO)
    check(reply.message.tool_calls)


async def test_as_many_calls_as_are_read_are_read_whole() -> None:
    calls = [{"id": f"c{n}", "function": {"name": "f", "arguments": f'{{"n": {n}}}'}} for n in range(MOST_TOOL_CALLS)]
    answer = whole(openai_whole({"tool_calls": calls}, "tool_calls"))
    async with Playback(answer) as server, asking("openai", server.url) as model:
        check((await model.answer(HELLO)).message.tool_calls)


@given(
    object=st.dictionaries(
        st.text(max_size=3), st.recursive(st.text(max_size=9) | st.integers(), st.lists, max_leaves=5), max_size=4
    ),
    cuts=st.lists(st.integers(0, 200)),
    after=st.sampled_from(["", " ", "\n", "x", "}", "{}", '"']),
)
def test_arguments_are_known_to_be_whole_wherever_they_are_cut(
    object: dict[str, Any], cuts: list[int], after: str
) -> None:
    text = json.dumps(object, ensure_ascii=False) + after
    call = _Call(0)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, end in pairwise(places):
        call.add(text[start:end])
        assert call.is_whole == is_object(text[:end])


async def test_long_arguments_in_many_pieces_are_read_in_bounded_time() -> None:
    pieces = ['{"text": "', *["ab}{"] * 100_000, '"}']
    chunks = (
        openai_chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": one}}]})
        for one in pieces
    )
    stream = events(*chunks, openai_chunk({}, "tool_calls"), "[DONE]")
    async with Playback(streamed(stream, "end")) as server, asking("openai", server.url) as model:
        reply = await model.answer(Listener().to(HELLO))
    assert [call.arguments for call in reply.message.tool_calls] == ["".join(pieces)]
