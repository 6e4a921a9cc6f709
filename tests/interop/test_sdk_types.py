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
    RESPONSES_TEXT,
    RESPONSES_TOOLS,
    anthropic_whole,
    called,
    openai_whole,
    reasoned,
    response,
    spoken,
)
from tests.components.models.test_failures import GOOD
from tests.interop.typed import faults
from victor_dsl.transport.sse import Decoder
from victor_dsl.values.message import Message, ToolCall
from victor_dsl.values.request import Request
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
PNG = "data:image/png;base64,AAAA"
FOREIGN: tuple[dict[str, Any], ...] = (
    {"type": "image_url", "image_url": PNG},
    {"type": "image_url", "image_url": {"url": "data:image/JPG;base64,AAAA"}},
    {"type": "input_text", "text": "Hi."},
    {"type": "input_image", "image_url": PNG, "detail": "low"},
    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,SGk="}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hi."}},
)
"""Parts in the form of other APIs than the chat format."""
TEXT_PART = {"type": "text", "text": "Hi."}
CHOOSING = HELLO.replace(tools=(WEATHER, SHOT))
ITEMS = [reasoned(), {**spoken("I look."), "phase": "commentary"}, called("weather", "{}", "c")]
REASONED = Message(
    "assistant",
    "I look.",
    (ToolCall("c", "weather", "{}"),),
    extra={"response_items": ITEMS},
    written_by="test-model",
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
    "small thinking": HELLO.replace(settings=Settings(thinking=Thinking(budget_tokens=1))),
    "adaptive": HELLO.replace(settings=Settings(thinking=Thinking(type="adaptive"), reasoning_effort="high")),
    "disabled": HELLO.replace(settings=Settings(thinking=Thinking(type="disabled"), temperature=0.5)),
    "tool settings": CHOOSING.replace(
        settings=Settings(
            tool_choice="required",
            parallel_tool_calls=False,
            frequency_penalty=0.5,
            presence_penalty=-0.5,
            reasoning_effort="minimal",
        )
    ),
    "one tool": CHOOSING.replace(
        settings=Settings(tool_choice="a tool with spaces", thinking=Thinking(type="adaptive"))
    ),
    "no tool": CHOOSING.replace(settings=Settings(tool_choice="none", parallel_tool_calls=True)),
    "json": HELLO.replace(settings=Settings(response_format={"type": "text"})),
    "session": HELLO.replace(
        request=Request(session="s"), system="Be kind.", messages=(*ASKED_WEATHER, *BROKEN), tools=(WEATHER,)
    ),
    "marked": HELLO.replace(messages=(Message("user", ({**TEXT_PART, "cache_control": {"type": "ephemeral"}},)),)),
    "parts of other APIs": HELLO.replace(messages=(Message("user", FOREIGN),)),
    "a refusal as a part": HELLO.replace(
        messages=(*HELLO.messages, Message("assistant", ({"type": "refusal", "refusal": "No."},)), *HELLO.messages)
    ),
    "no parts": HELLO.replace(messages=(Message("user", ()), *BROKEN)),
    "reasoning": HELLO.replace(messages=(*HELLO.messages, REASONED, Message("tool", "Rain.", tool_call_id="c"))),
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


@pytest.mark.parametrize("stream", [RESPONSES_TEXT, RESPONSES_TOOLS], ids=["text", "tools"])
def test_the_events_of_the_responses_api_are_true(stream: bytes) -> None:
    from openai.types.responses import ResponseStreamEvent

    event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for data in _data(stream):
        event.validate_json(data, strict=True)


def test_the_answers_of_the_responses_api_are_true() -> None:
    from openai.types.responses import Response

    Response.model_validate_json(json.dumps(response([reasoned(), spoken("Hi.")])), strict=True)


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
@pytest.mark.parametrize("fields", [{}, {"prompt_cache": {"ttl": "1h"}}], ids=["", "cached"])
@pytest.mark.parametrize("type", ["openai", "responses", "anthropic"])
async def test_what_is_sent_is_what_the_sdk_would_send(type: str, turn: Turn, fields: dict[str, Any]) -> None:
    async with Playback(GOOD[type]) as server, asking(type, server.url, **fields) as model:
        await model.answer(turn)
    body = server.asked[0].body
    if type == "anthropic":  # the API still has these for older models, and the SDK no longer
        body = {key: value for key, value in body.items() if key not in ("temperature", "top_p")}
    assert not faults(body, _params(type))


@pytest.mark.parametrize("type", ["openai", "responses", "anthropic"])
async def test_the_check_of_what_is_sent_sees_a_key_too_many(type: str) -> None:
    async with Playback(GOOD[type]) as server, asking(type, server.url) as model:
        await model.answer(HELLO.replace(tools=(WEATHER,)))
    body = server.asked[0].body
    assert not faults(body, _params(type))
    messages = "input" if type == "responses" else "messages"
    for wrong in (
        {**body, "extra": 1},
        {**body, messages: [{**body[messages][0], "extra": 1}]},
        {**body, messages: [{**body[messages][0], "role": "nobody"}]},
        {**body, "tools": [{**body["tools"][0], "extra": 1}]},
    ):
        assert faults(wrong, _params(type))


def _params(type: str) -> Any:
    match type:
        case "openai":
            from openai.types.chat import completion_create_params as openai_params

            return openai_params.CompletionCreateParams
        case "responses":
            from openai.types.responses import response_create_params as responses_params

            return responses_params.ResponseCreateParams
    from anthropic.types import message_create_params as anthropic_params

    return anthropic_params.MessageCreateParams
