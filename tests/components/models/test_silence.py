"""How long a server may say nothing, whatever bytes it sends meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.components.models.asking import HELLO, MODULES, Listener, asking
from tests.components.models.playback import Playback, events, streamed
from tests.components.models.recorded import TEXT
from tests.components.models.test_failures import GOOD, failing, failing_at
from victor_dsl.components.model_streams import (
    FIRST_TOKEN_SECONDS,
    LAST_SECONDS,
    LONGEST_SILENCE_SECONDS,
    SILENCE_SECONDS,
    THINKING_SECONDS,
    ModelStream,
    has_output,
)
from victor_dsl.components.models import anthropic, openai
from victor_dsl.language.config import Secret
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings, Thinking
from victor_dsl.values.turn import Turn

TYPES = pytest.mark.parametrize("type", list(MODULES))
STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])


def _chunk(**delta: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


QUIET = [
    {},
    {"type": "ping"},
    {"type": "keepalive", "sequence_number": 3},
    {"choices": []},
    {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
    {"choices": [None]},
    _chunk(),
    _chunk(role="assistant", content="", refusal=None, tool_calls=[]),
    _chunk(reasoning_content=""),
    {"type": "message_start", "message": {"role": "assistant", "usage": {"input_tokens": 3}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}},
    {"type": "response.created", "response": {}},
    {"type": "response.in_progress", "response": {}},
    {"type": "response.output_item.added", "item": {"type": "message", "content": []}},
    {"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}},
    {"type": "response.output_text.delta", "delta": ""},
]
SPEAKING = [
    _chunk(content="a"),
    _chunk(role="assistant", content="a"),
    _chunk(reasoning_content="a"),
    _chunk(tool_calls=[{"index": 0}]),
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 1}},
    {"choices": [{"message": {"content": "a"}}]},
    {"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_start", "content_block": {"type": "tool_use", "input": {}}},
    {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
    {"type": "response.output_item.added", "item": {"type": "reasoning", "summary": []}},
    {"type": "response.output_text.delta", "delta": "a"},
    {"type": "response.completed", "response": {}},
]


@pytest.mark.parametrize("event", QUIET, ids=str)
def test_an_event_without_content_is_no_output(event: Any) -> None:
    assert not has_output(event)


@pytest.mark.parametrize("event", SPEAKING, ids=str)
def test_an_event_with_content_is_output(event: Any) -> None:
    assert has_output(event)


class Murmuring(Playback):
    """Plays an answer, then sends one piece again and again until the client hangs up."""

    def __init__(self, begin: bytes, murmur: bytes) -> None:
        super().__init__(streamed(begin, "hang"))
        self.murmur = b"%x\r\n%s\r\n" % (len(murmur), murmur)

    async def _play(self, answer: Any, reader: Any, writer: Any) -> bool:
        async def go_on() -> None:
            while True:
                writer.write(self.murmur)
                await writer.drain()
                await asyncio.sleep(0.01)  # shorter than the limit: only so does it try to renew it

        task = asyncio.create_task(go_on())
        try:
            return await super()._play(answer, reader, writer)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


MURMURS = {
    "comments": b": keep-alive\n\n",
    "pings": events({"type": "ping"}),
    "empty chunks": events(_chunk(role="assistant", content="")),
    "blank lines": b"\n\n",
    "empty data": b"data:\n\n",
}


@TYPES
@STREAMING
@pytest.mark.parametrize("murmur", MURMURS.values(), ids=MURMURS.keys())
@pytest.mark.parametrize("limit", ["first_token", "silence"])
async def test_nothing_but_content_ends_a_silence(type: str, streaming: bool, murmur: bytes, limit: str) -> None:
    stream = TEXT[type]
    begin = b"" if limit == "first_token" else stream[: stream.index(b"\n\n", stream.index(b"Gr")) + 2]
    fields: dict[str, Any] = {"first_token_seconds" if limit == "first_token" else "chunk_timeout_seconds": 0.1}
    async with Murmuring(begin, murmur) as server:
        error = await failing_at(type, server.url, streaming=streaming, **fields)
    assert (error.kind, error.limit) == ("timeout", limit)
    assert "0.1 s" in error.message


@TYPES
@STREAMING
async def test_a_server_that_says_nothing_at_all_passes_the_limit_for_the_first_token(
    type: str, streaming: bool
) -> None:
    error = await failing(type, ["hang"], streaming=streaming, first_token_seconds=0.05)
    assert error.limit == "first_token"
    assert "sent no token within 0.05 s" in error.message


@TYPES
async def test_the_readers_own_work_is_no_silence_of_the_server(type: str) -> None:
    async def slow(delta: Any) -> None:
        await asyncio.sleep(0.06)

    answer = streamed(TEXT[type], "end")
    async with Playback(answer) as server, asking(type, server.url, chunk_timeout_seconds=0.05) as model:
        reply = await model.answer(HELLO.replace(streaming=True, emit=slow))
    assert reply.message.text() == "Grüß dich, 🌍!"


@TYPES
@STREAMING
async def test_an_answer_that_is_complete_needs_no_end_of_its_stream(
    type: str, streaming: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr("victor_dsl.components.model_streams.LAST_SECONDS", 0.05)
    stream = TEXT[type]
    marks = {"openai": b"data: [DONE]", "anthropic": b"event: message_stop", "responses": b"data: [DONE]"}
    cut = stream[: stream.index(marks[type])] if marks[type] in stream else stream
    async with Playback(streamed(cut, "hang")) as server, asking(type, server.url, stream=True) as model:
        reply = await model.answer(Listener().to(HELLO) if streaming else HELLO)
    assert reply.message.text() == "Grüß dich, 🌍!"
    assert reply.usage.output_tokens is not None


@TYPES
async def test_a_server_that_cannot_stream_is_asked_for_whole_answers(type: str) -> None:
    listener = Listener()
    async with Playback(GOOD[type]) as server, asking(type, server.url, stream=False) as model:
        await model.answer(listener.to(HELLO))
        assert "stream" not in server.asked[0].body
    assert listener.text == "Hi."


@TYPES
@pytest.mark.parametrize(
    ("asks", "fields"),
    [
        ({}, {"stream": True}),
        ({"streaming": True}, {}),
        ({"fallback_left": True}, {}),
        ({}, {"first_token_seconds": 5}),
        ({}, {"chunk_timeout_seconds": 5}),
    ],
)
async def test_answers_are_streamed_from_the_server_where_someone_reads_or_limits_the_stream(
    type: str, asks: dict[str, Any], fields: dict[str, Any]
) -> None:
    pieces = Listener()
    async with Playback(streamed(TEXT[type], "end")) as server, asking(type, server.url, **fields) as model:
        reply = await model.answer(HELLO.replace(emit=pieces.emit, **asks))
        assert server.asked[0].body["stream"] is True
    assert (
        pieces.text == reply.message.text()
    )  # for the time to the first token; a turn that is not streamed discards them


@TYPES
@pytest.mark.parametrize(
    ("asks", "fields"), [({}, {}), ({"fallback_left": True}, {"stream": False}), ({}, {"timeout_seconds": 5})]
)
async def test_any_other_answer_is_whole(type: str, asks: dict[str, Any], fields: dict[str, Any]) -> None:
    async with Playback(GOOD[type]) as server, asking(type, server.url, **fields) as model:
        reply = await model.answer(HELLO.replace(**asks))
        assert "stream" not in server.asked[0].body
    assert reply.message.text() == "Hi."


class _Reading:
    finished = complete = False

    def end(self) -> None:
        """Nothing to do."""


def _config(type: str, **fields: Any) -> Any:
    module: Any = {"openai": openai, "anthropic": anthropic}[type]
    return module.Config.model_validate({"model": "m", "base_url": "http://h", "api_key": Secret("env", "K"), **fields})


LEFT = HELLO.replace(fallback_left=True)
OUT = LEFT.replace(streaming=True)
THINKS = Settings(thinking=Thinking(budget_tokens=2000))


def _time_limit(turn: Turn, *, began: bool = False, in_tool_call: bool = False, **fields: Any) -> tuple[str, float]:
    return ModelStream(turn, _config("openai", **fields), _Reading(), began, in_tool_call).time_limit()


def test_a_fallback_waits_for_the_first_token_by_the_length_of_the_prompt() -> None:
    limit, seconds = _time_limit(LEFT)
    assert limit == "first_token"
    assert FIRST_TOKEN_SECONDS < seconds < FIRST_TOKEN_SECONDS + 0.1
    long = LEFT.replace(messages=(Message("user", "word " * 80_000),))
    assert _time_limit(long)[1] == pytest.approx(FIRST_TOKEN_SECONDS + 20, abs=0.1)
    assert _time_limit(LEFT, model="gpt-5")[1] == THINKING_SECONDS
    assert _time_limit(LEFT.replace(settings=THINKS))[1] == THINKING_SECONDS
    assert _time_limit(HELLO) == ("silence", LONGEST_SILENCE_SECONDS)
    assert _time_limit(LEFT, first_token_seconds=3)[1] == 3


def test_a_silence_is_shorter_where_a_fallback_can_still_answer() -> None:
    assert _time_limit(LEFT, began=True)[1] == SILENCE_SECONDS
    assert _time_limit(LEFT, began=True, chunk_timeout_seconds=7)[1] == 7
    for longer in (
        _time_limit(HELLO, began=True),
        _time_limit(LEFT, began=True, in_tool_call=True),
        _time_limit(LEFT.replace(settings=THINKS), began=True),
    ):
        assert longer[1] == LONGEST_SILENCE_SECONDS
    out = OUT.replace(trace=type(OUT.trace)(""))
    out.trace.streamed.reached = True
    assert _time_limit(out, began=True)[1] == 2 * SILENCE_SECONDS
    assert _time_limit(out.replace(settings=Settings(broken_stream="restart")), began=True)[1] == SILENCE_SECONDS


def test_a_complete_answer_is_waited_for_no_longer() -> None:
    reading = _Reading()
    reading.complete = True
    assert ModelStream(LEFT, _config("openai"), reading, began=True).time_limit() == ("silence", LAST_SECONDS)
