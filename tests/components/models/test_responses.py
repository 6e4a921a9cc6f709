"""The Responses API of an `openai` model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve

from tests.components.models.asking import ASKED_WEATHER, HELLO, KEY, WEATHER, Listener, asking
from tests.components.models.playback import Playback, events, streamed, whole
from tests.components.models.recorded import (
    RESPONSES_TEXT,
    RESPONSES_TOOLS,
    called,
    reasoned,
    response,
    responses_stream,
    spoken,
)
from victor_dsl.errors import ModelError
from victor_dsl.values.chat_format import restore_message
from victor_dsl.values.message import Message, Reply, ToolCall
from victor_dsl.values.settings import Settings, Thinking
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

HI = whole(response([spoken("Hi.")]))
LOOK = [reasoned(), spoken("I look.", phase="commentary"), called("weather", '{"city": "Paris"}', "call_1")]


async def sent(turn: Turn, **fields: Any) -> dict[str, Any]:
    """The body of the request that a turn leads to."""
    fields = {"stream": turn.streaming, **fields}
    async with Playback(HI) as server, asking("responses", server.url, **fields) as model:
        await model.answer(turn)
        assert server.asked[0].path == "/v1/responses"
        body: dict[str, Any] = server.asked[0].body
        return body


async def answered(body: dict[str, Any], turn: Turn = HELLO, **fields: Any) -> Reply:
    async with Playback(whole(body)) as server, asking("responses", server.url, **fields) as model:
        return await model.answer(turn)


async def heard(*stream: dict[str, Any], **fields: Any) -> tuple[Reply, Listener]:
    listener = Listener()
    answer = streamed(events(*stream, names=True), "end")
    async with Playback(answer) as server, asking("responses", server.url, **fields) as model:
        return await model.answer(listener.to(HELLO)), listener


async def test_a_plain_answer() -> None:
    reply = await answered(response([spoken("Hi.")]))
    assert reply.message == Message("assistant", "Hi.")
    assert (reply.stop_reason, reply.response_model) == ("stop", "gpt-5-mini-2025-08-07")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (1200, 10, 1024)


async def test_a_streamed_answer_is_its_pieces_and_its_thoughts() -> None:
    listener = Listener()
    async with Playback(streamed(RESPONSES_TEXT, "end")) as server, asking("responses", server.url) as model:
        reply = await model.answer(listener.to(HELLO))
    assert reply.message.text() == "Grüß dich, 🌍!" == listener.text
    assert listener.thoughts == "Let me see."


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    pieces = [RESPONSES_TOOLS[i : i + 1] for i in range(len(RESPONSES_TOOLS))]
    async with Playback(streamed(*pieces, "end")) as server, asking("responses", server.url) as model:
        reply = await model.answer(Listener().to(HELLO))
    assert reply.message.tool_calls == (
        ToolCall("call_1", "weather", '{"city": "Paris"}'),
        ToolCall("call_2", "weather", '{"city": "Rome"}'),
    )
    assert (reply.message.text(), reply.stop_reason) == ("I look.", "tool_calls")


@pytest.mark.parametrize("lacks", ["output", "items", "arguments"])
async def test_a_stream_is_whole_where_servers_leave_out_what_they_sent_before(lacks: str) -> None:
    output = [reasoned(), called("weather", '{"city": "Paris"}', "call_1")]
    stream = responses_stream(output)
    if lacks == "arguments":
        stream = [event for event in stream if event["type"] != "response.output_item.done"]
    if lacks in ("output", "arguments"):
        stream[-1]["response"] = response([])
    else:
        stream = [event for event in stream if "output_item" not in event["type"]]
    reply, _ = await heard(*stream)
    assert reply.message.tool_calls == (ToolCall("call_1", "weather", '{"city": "Paris"}'),)
    assert reply.stop_reason == "tool_calls"


async def test_the_texts_of_two_messages_are_paragraphs_in_the_stream_too() -> None:
    output = [spoken("I look.", phase="commentary"), reasoned(), spoken("Rain.", id="msg_2", phase="final_answer")]
    reply, listener = await heard(*responses_stream(output))
    assert reply.message.text() == listener.text == "I look.\n\nRain."


@pytest.mark.parametrize(
    ("status", "reason", "stop"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
    ],
)
async def test_the_stop_reason_is_what_the_server_said(status: str, reason: str | None, stop: str) -> None:
    body = response([spoken("a")], status, incomplete_details=reason and {"reason": reason})
    assert (await answered(body)).stop_reason == stop
    assert (await heard(*responses_stream([spoken("a")], body, end=f"response.{status}")))[0].stop_reason == stop


@pytest.mark.parametrize("arguments", ['{"ci', ""])
async def test_a_call_that_was_cut_off_is_not_made_whole(arguments: str) -> None:
    call = {**called("weather", arguments, "c"), "status": "incomplete"}
    body = response([call], "incomplete", incomplete_details={"reason": "max_output_tokens"})
    reply = await answered(body)
    assert (reply.stop_reason, reply.message.tool_calls) == ("length", (ToolCall("c", "weather", arguments),))


@pytest.mark.parametrize("status", [None, "in_progress", "queued", "cancelled", "whatever", "incomplete"])
async def test_an_answer_that_has_not_ended_is_none(status: str | None) -> None:
    with pytest.raises(ModelError) as raised:
        await answered({**response([spoken("a")]), "status": status})
    assert raised.value.transient


FAILURES = [
    ({"code": "rate_limit_exceeded", "message": "Slow down."}, "rate_limited"),
    ({"code": "server_error", "message": "Something broke."}, "overloaded"),
    ({"code": "context_length_exceeded", "message": "Your input exceeds the context window."}, "context_length"),
    ({"code": "insufficient_quota", "message": "You exceeded your current quota."}, "authentication"),
    ({"code": "invalid_prompt", "message": "Blocked by our content policy."}, "content_filter"),
]


@pytest.mark.parametrize(("error", "kind"), FAILURES)
async def test_a_response_that_failed_has_the_kind_of_its_error(error: dict[str, Any], kind: str) -> None:
    failed = response([], "failed", error=error)
    stream = responses_stream([spoken("Well")], failed, end="response.failed")
    at_once = [{"type": "error", "sequence_number": 0, "param": None, **error}]
    for events_ in ([*stream[:2], stream[-1]], at_once):
        with pytest.raises(ModelError) as raised:
            await heard(*events_)
        assert raised.value.kind == kind
        assert error["message"] in raised.value.message
    with pytest.raises(ModelError) as raised:
        await answered(failed)
    assert raised.value.kind == kind


async def test_a_refusal_is_its_text() -> None:
    item = {**spoken(""), "content": [{"type": "refusal", "refusal": "I won't."}]}
    reply = await answered(response([item]))
    assert (reply.message.text(), reply.stop_reason) == ("I won't.", "content_filter")
    delta = {"type": "response.refusal.delta", "output_index": 0, "delta": "I won't."}
    reply, listener = await heard(delta, {"type": "response.completed", "response": response([item])})
    assert (reply.message.text(), reply.stop_reason, listener.text) == ("I won't.", "content_filter", "I won't.")


async def test_the_request_of_a_turn() -> None:
    turn = HELLO.replace(system="Be kind.", messages=ASKED_WEATHER, tools=(WEATHER, Tool("a b")))
    assert await sent(turn) == {
        "model": "test-model",
        "store": False,
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "The weather of a city.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                "strict": False,
            },
            {
                "type": "function",
                "name": "a_b_c8687a08",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            },
        ],
        "instructions": "Be kind.",
        "input": [
            {"role": "user", "content": "How is the weather in Paris?"},
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "Rain."},
        ],
    }


async def test_every_setting_that_the_api_has_is_sent() -> None:
    schema = {"name": "x", "schema": {"type": "object"}, "strict": True}
    settings = Settings(
        temperature=0.5,
        top_p=0.9,
        max_tokens=99,
        stop=("END",),
        seed=3,
        frequency_penalty=0.5,
        presence_penalty=0.5,
        thinking=Thinking(budget_tokens=2000),
        reasoning_effort="low",
        tool_choice="weather",
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    body = await sent(HELLO.replace(settings=settings, tools=(WEATHER,)), reasoning_summary="concise")
    for key in ("model", "store", "tools", "input"):
        del body[key]
    assert body == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 99,
        "reasoning": {"effort": "low", "summary": "concise"},
        "include": ["reasoning.encrypted_content"],
        "tool_choice": {"type": "function", "name": "weather"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_schema", **schema}},
    }
    shape = {"type": "json_object"}
    assert (await sent(HELLO.replace(settings=Settings(response_format=shape))))["text"] == {"format": shape}
    assert set(await sent(HELLO.replace(settings=Settings(temperature=1.0)), model="gpt-5-mini")) == {
        "model", "store", "input", "include",
    }  # fmt: skip


async def test_the_reasoning_of_an_answer_goes_back_to_its_model_alone() -> None:
    reply = await answered(response(LOOK))
    stored = restore_message(json.loads(json.dumps(reply.message.as_json())))
    assert stored == reply.message
    turn = HELLO.replace(messages=(*HELLO.messages, stored, Message("tool", "Rain.", tool_call_id="call_1")))
    items = (await sent(turn))["input"]
    assert items[1] == LOOK[0]
    assert items[2] == {**LOOK[1], "content": [{"type": "output_text", "text": "I look.", "annotations": []}]}
    assert items[3] == LOOK[2]
    assert items[4]["call_id"] == "call_1"
    plain = (await sent(turn, model="another"))["input"]
    assert plain[1:3] == [
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
    ]


async def test_the_reasoning_of_a_plain_answer_goes_back_too() -> None:
    reply = await answered(response([reasoned(), spoken("Hi.")]))
    turn = HELLO.replace(messages=(*HELLO.messages, reply.message, Message("user", "And you?")))
    assert [item.get("type") for item in (await sent(turn))["input"]] == [None, "reasoning", "message", None]


@pytest.mark.parametrize(
    "changed",
    [
        {"content": "Something else."},
        {"tool_calls": ()},
        {"tool_calls": (ToolCall("other", "weather", "{}"),)},
        {"extra": {"response_items": "no list"}},
        {"extra": {"response_items": [3]}},
        {"content": "", "extra": {"response_items": [None]}},
        {"extra": {"response_items": [{"type": "message", "content": 7}]}},
        {"content": None, "extra": {"response_items": [reasoned(), {"type": "function_call", "call_id": "call_1"}]}},
        {"extra": {"response_items": [reasoned(), {**LOOK[1], "role": "system"}, LOOK[2]]}},
    ],
)
async def test_an_answer_that_was_changed_goes_back_without_its_reasoning(changed: dict[str, Any]) -> None:
    message = evolve((await answered(response(LOOK))).message, **changed)
    assert "reasoning" not in json.dumps((await sent(HELLO.replace(messages=(*HELLO.messages, message))))["input"])


async def test_images_files_and_results_without_text() -> None:
    parts = (
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "https://x/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
    )
    assert (await sent(HELLO.replace(messages=(Message("user", parts),))))["input"][0]["content"] == [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": "https://x/a.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    ]
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
    with pytest.raises(ModelError, match="input_audio"):
        await sent(HELLO.replace(messages=(Message("user", (audio,)),)))


async def test_what_a_stream_reported_is_the_usage_of_a_failure() -> None:
    stream = responses_stream([spoken("word " * 100)])[:-1]
    with pytest.raises(ModelError) as raised:
        await heard(*stream)
    usage = raised.value.usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (None, 125, True)
    failed = response([], "failed", error={"code": "server_error", "message": "Oops"})
    with pytest.raises(ModelError) as raised:
        await heard(*stream, {"type": "response.failed", "response": failed})
    assert (raised.value.usage.input_tokens, raised.value.usage.output_tokens) == (1200, 125)


async def test_the_key_is_sent_as_for_the_chat_api() -> None:
    async with Playback(HI) as server, asking("responses", server.url, organization="org-1") as model:
        await model.answer(HELLO)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].headers["openai-organization"] == "org-1"
