"""Whether the mocks of `test_wire.py` are true: the official SDKs' own types accept what they send, and what they get."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from tests.components.models.asking import ASKED_WEATHER, HELLO, WEATHER, Listener, asking
from tests.components.models.playback import Playback
from tests.components.models.recorded import (
    ANTHROPIC_TEXT,
    ANTHROPIC_TOOLS,
    OPENAI_TEXT,
    OPENAI_TOOLS,
    anthropic_whole,
    openai_whole,
)
from tests.components.models.test_failures import GOOD
from victor_dsl.transport.sse import Decoder
from victor_dsl.values.message import Message, ToolCall
from victor_dsl.values.settings import Settings, Thinking
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

openai_types = pytest.importorskip("openai.types.chat")
anthropic_types = pytest.importorskip("anthropic.types")

SHOT = Tool("a tool with spaces", "", {})
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
BROKEN = (
    Message("user", "And in Rome?"),
    Message("assistant", None, (ToolCall("call_2", "weather", '{"city": '),)),
    Message("tool", ({"type": "text", "text": "See:"}, IMAGE), tool_call_id="call_2"),
)
TURNS = {
    "plain": HELLO,
    "streamed": Listener().to(HELLO),
    "tools": HELLO.replace(messages=ASKED_WEATHER, tools=(WEATHER, SHOT), system="Be kind."),
    "mended": HELLO.replace(messages=ASKED_WEATHER + BROKEN, tools=(WEATHER, SHOT)),
    "image": HELLO.replace(messages=(Message("user", ({"type": "text", "text": "What is it?"}, IMAGE)),)),
    "settings": HELLO.replace(
        settings=Settings(
            temperature=0.5,
            top_p=0.9,
            max_tokens=4000,
            stop=("END",),
            seed=7,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object", "properties": {}}},
            },
        )
    ),
    "thinking": HELLO.replace(settings=Settings(max_tokens=4000, thinking=Thinking(budget_tokens=2000))),
}


def _data(stream: bytes) -> list[bytes]:
    events = [data for data in Decoder().feed(stream) if data != b"[DONE]"]
    assert events
    return events


@pytest.mark.parametrize("stream", [OPENAI_TEXT, OPENAI_TOOLS], ids=["text", "tools"])
def test_openais_chunks_are_true(stream: bytes) -> None:
    for data in _data(stream):
        openai_types.ChatCompletionChunk.model_validate_json(data, strict=True)


def test_openais_answers_are_true() -> None:
    openai_types.ChatCompletion.model_validate_json(json.dumps(openai_whole({"content": "Hi."})), strict=True)


@pytest.mark.parametrize("stream", [ANTHROPIC_TEXT, ANTHROPIC_TOOLS], ids=["text", "tools"])
def test_anthropics_events_are_true(stream: bytes) -> None:
    event: TypeAdapter[Any] = TypeAdapter(anthropic_types.RawMessageStreamEvent)
    for data in _data(stream):
        if b'"ping"' not in data:  # it has no type in the SDK, which skips it
            event.validate_json(data, strict=True)


def test_anthropics_answers_are_true() -> None:
    content = [{"type": "text", "text": "Hi.", "citations": None}]
    anthropic_types.Message.model_validate_json(json.dumps(anthropic_whole(content)), strict=True)


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
@pytest.mark.parametrize("type", ["openai", "anthropic"])
async def test_what_is_sent_is_what_the_sdk_would_send(type: str, turn: Turn) -> None:
    async with Playback(GOOD[type]) as server, asking(type, server.url) as model:
        await model.answer(turn)
    _params(type).validate_json(json.dumps(server.asked[0].body))


def _params(type: str) -> TypeAdapter[Any]:
    if type == "openai":
        from openai.types.chat import completion_create_params as openai_params

        return TypeAdapter(openai_params.CompletionCreateParams)
    from anthropic.types import message_create_params as anthropic_params

    return TypeAdapter(anthropic_params.MessageCreateParams)
