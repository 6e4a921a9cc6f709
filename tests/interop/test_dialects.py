"""How servers other than OpenAI write the chat API, as rows: each is played back whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import field, frozen

from tests.components.models.asking import HELLO, WEATHER, Listener, asking
from tests.components.models.playback import Playback, events, streamed, whole
from victor_dsl.values.message import Message, Reply, ToolCall

TURN = HELLO.replace(tools=(WEATHER,))
CITY = '{"city": "Rome"}'
USAGE = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}


@frozen
class Dialect:
    """One server's answer. `chunks` are the choices of its stream with what stands beside them; `last` ends the stream."""

    server: str
    chunks: tuple[Mapping[str, Any], ...]
    message: Mapping[str, Any]
    text: str = "It rains."
    thoughts: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str = "stop"
    last: tuple[Any, ...] = ({"choices": [], "usage": USAGE}, "[DONE]")
    beside: Mapping[str, Any] = field(factory=dict)
    """What stands in the choice of a whole answer beside its message."""
    usage: Mapping[str, Any] = field(factory=lambda: USAGE)


def delta(finish: str | None = None, *, beside: Mapping[str, Any] | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk. `beside` stands beside its choices."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **(beside or {})}


def call(arguments: str = CITY, id: str = "call_1", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}, **more}


CALLED = (("weather", CITY),)
SIGNED = {"google": {"thought_signature": "sig=="}}
DETAIL = {"type": "reasoning.text", "text": "Hm, Rome.", "format": "anthropic-claude-v1", "index": 0}

DIALECTS = [
    Dialect(
        "Gemini",
        (
            delta(role="assistant", content="It ", beside={"usage": {**USAGE, "completion_tokens": 1}}),
            delta("stop", role="assistant", content="rains.", beside={"usage": USAGE}),
        ),
        {"role": "assistant", "content": "It rains."},
        last=("[DONE]",),
    ),
    Dialect(
        "Gemini, tools: no index, and the reason `stop`",
        (delta("stop", role="assistant", tool_calls=[call(id="function-call-1", extra_content=SIGNED)]),),
        {"role": "assistant", "tool_calls": [call(id="function-call-1", extra_content=SIGNED)]},
        text="",
        calls=CALLED,
    ),
    Dialect(
        "DeepSeek",
        (
            delta(role="assistant", content=None, reasoning_content=""),
            delta(content=None, reasoning_content="Hm, "),
            delta(content=None, reasoning_content="Rome."),
            delta(content="It rains.", reasoning_content=None),
            delta("stop", content="", reasoning_content=None, beside={"usage": USAGE}),
        ),
        {"role": "assistant", "content": "It rains.", "reasoning_content": "Hm, Rome."},
        thoughts="Hm, Rome.",
        last=("[DONE]",),
    ),
    Dialect(
        "Kimi: ids with a colon",
        (
            delta(role="assistant", content=""),
            delta(reasoning_content="Hm, Rome."),
            delta(tool_calls=[call("", "weather:0", index=0)]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": CITY}}]),
            delta("tool_calls"),
        ),
        {"role": "assistant", "content": "", "reasoning_content": "Hm, Rome.", "tool_calls": [call(id="weather:0")]},
        text="",
        thoughts="Hm, Rome.",
        calls=CALLED,
        finish="tool_calls",
    ),
    Dialect(
        "Ollama: thoughts in `reasoning`, all calls at index 0",
        (
            delta(role="assistant", content="", reasoning="Hm, "),
            delta(role="assistant", content="", reasoning="Rome."),
            delta(role="assistant", content="", tool_calls=[call(id="call_a", index=0)]),
            delta(role="assistant", content="", tool_calls=[call(id="call_b", index=0)]),
            delta("tool_calls", role="assistant", content=""),
        ),
        {
            "role": "assistant",
            "content": "",
            "reasoning": "Hm, Rome.",
            "tool_calls": [call(id="call_a", index=0), call(id="call_b", index=0)],
        },
        text="",
        thoughts="Hm, Rome.",
        calls=CALLED * 2,
        finish="tool_calls",
    ),
    Dialect(
        "Ollama: thoughts in `thinking`",
        (delta(role="assistant", thinking="Hm, Rome."), delta(content="It rains."), delta("stop", content="")),
        {"role": "assistant", "content": "It rains.", "thinking": "Hm, Rome."},
        thoughts="Hm, Rome.",
    ),
    Dialect(
        "vLLM: both names of thoughts",
        (
            delta(role="assistant", content="", reasoning_content=None, reasoning=None),
            delta(reasoning="Hm, Rome.", reasoning_content="Hm, Rome."),
            delta(content="It rains."),
            {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "stop_reason": None}]},
        ),
        {
            "role": "assistant",
            "content": "It rains.",
            "reasoning": "Hm, Rome.",
            "reasoning_content": "Hm, Rome.",
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [],
        },
        thoughts="Hm, Rome.",
        beside={"stop_reason": None, "token_ids": None, "logprobs": None},
    ),
    Dialect(
        "OpenRouter: thoughts twice",
        (
            delta(role="assistant", content="", reasoning="Hm, ", reasoning_details=[{**DETAIL, "text": "Hm, "}]),
            delta(role="assistant", content="", reasoning="Rome.", reasoning_details=[{**DETAIL, "text": "Rome."}]),
            delta(role="assistant", content="It rains."),
            delta("stop", role="assistant", content=""),
        ),
        {"role": "assistant", "content": "It rains.", "reasoning": "Hm, Rome.", "reasoning_details": [DETAIL]},
        thoughts="Hm, Rome.",
        last=(delta(role="assistant", content="", beside={"usage": {**USAGE, "cost": 0.1}}), "[DONE]"),
        beside={"native_finish_reason": "end_turn", "logprobs": None},
    ),
    Dialect(
        "OpenRouter, encrypted thoughts",
        (
            delta(role="assistant", content="", reasoning_details=[{"type": "reasoning.encrypted", "data": "xx"}]),
            delta(content="It rains."),
            delta("stop"),
        ),
        {
            "role": "assistant",
            "content": "It rains.",
            "reasoning_details": [{"type": "reasoning.encrypted", "data": "xx"}],
        },
    ),
    Dialect(
        "Mistral: a list of chunks",
        (
            delta(role="assistant", content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm, "}]}]),
            delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Rome."}]}]),
            delta(content=[{"type": "text", "text": "It "}, {"type": "reference", "reference_ids": [1]}]),
            delta("stop", content="rains.", beside={"usage": USAGE, "p": "abcdef"}),
        ),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm, Rome."}], "closed": True},
                {"type": "text", "text": "It rains."},
            ],
            "tool_calls": None,
        },
        thoughts="Hm, Rome.",
        last=("[DONE]",),
    ),
    Dialect(
        "Groq",
        (
            delta(role="assistant", content=None, beside={"x_groq": {"id": "req_1"}}),
            delta(reasoning="Hm, Rome.", channel="analysis"),
            delta(content="It rains."),
            delta("stop", beside={"x_groq": {"id": "req_1", "usage": USAGE}}),
        ),
        {"role": "assistant", "content": "It rains.", "reasoning": "Hm, Rome."},
        thoughts="Hm, Rome.",
    ),
    Dialect(
        "Groq: usage in a field of its own alone",
        (delta(content="It rains."), delta("stop", beside={"x_groq": {"id": "req_1", "usage": USAGE}})),
        {"role": "assistant", "content": "It rains."},
        last=("[DONE]",),
    ),
    Dialect(
        "Kimi: usage in the choice",
        (
            delta(content="It rains."),
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]},
        ),
        {"role": "assistant", "content": "It rains."},
        last=("[DONE]",),
    ),
    Dialect(
        "LM Studio: a number as id",
        (
            delta(role="assistant", tool_calls=[call("", "365174485", index=0)]),
            delta(role="assistant", tool_calls=[{"index": 0, "function": {"arguments": CITY}}]),
            delta("tool_calls"),
        ),
        {"role": "assistant", "tool_calls": [call(id="365174485")]},
        text="",
        calls=CALLED,
        finish="tool_calls",
    ),
    Dialect(
        "LiteLLM before Claude",
        (
            delta(
                role="assistant",
                content="",
                reasoning_content="Hm, Rome.",
                thinking_blocks=[{"type": "thinking", "thinking": "Hm, Rome.", "signature": None}],
            ),
            delta(
                content="",
                thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "s"}],
                provider_x={"a": 1},
            ),
            delta(content="It rains."),
            delta("stop"),
        ),
        {
            "role": "assistant",
            "content": "It rains.",
            "reasoning_content": "Hm, Rome.",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm, Rome.", "signature": "s"}],
        },
        thoughts="Hm, Rome.",
    ),
    Dialect(
        "Copilot",
        (delta(role="assistant", content=None, reasoning_text="Hm, Rome."), delta(content="It rains."), delta("stop")),
        {"role": "assistant", "content": "It rains.", "reasoning_text": "Hm, Rome.", "reasoning_opaque": "xx"},
        thoughts="Hm, Rome.",
    ),
    Dialect(
        "Perplexity: all of the message beside each piece",
        (
            {"choices": [{"index": 0, "message": {"content": "It "}, "delta": {"content": "It "}}]},
            {"choices": [{"index": 0, "message": {"content": "It rains."}, "delta": {"content": "rains."}}]},
            {
                "choices": [
                    {"message": {"content": "It rains."}, "delta": {"content": ""}, "finish_reason": "stop"},
                ],
                "citations": ["https://x"],
            },
        ),
        {"role": "assistant", "content": "It rains."},
        beside={"delta": {"role": "assistant", "content": ""}},
    ),
    Dialect(
        "Azure: filters without a choice and a choice without a delta",
        (
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
            delta(role="assistant", content="It rains."),
            {
                "choices": [
                    {"index": 0, "finish_reason": None, "content_filter_offsets": {}, "content_filter_results": {}}
                ]
            },
            delta("stop"),
        ),
        {"role": "assistant", "content": "It rains."},
        beside={"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}},
    ),
    Dialect(
        "TGI: a call that is no list",
        (
            delta(role="assistant", tool_calls=call("", "", index=0)),
            delta(role="assistant", tool_calls={"index": 0, "id": "", "function": {"name": None, "arguments": CITY}}),
            delta("eos_token", role="assistant", content=""),
        ),
        {"role": "assistant", "tool_calls": [call({"city": "Rome"}, "0")]},  # type: ignore[arg-type]
        text="",
        calls=CALLED,
        finish="eos_token",
    ),
    Dialect(
        "SGLang",
        (
            delta(role="assistant", content="", reasoning_content=None, tool_calls=None),
            delta(role=None, content="It rains.", reasoning_content=None, tool_calls=None),
            {"choices": [{"index": 0, "delta": {"content": None}, "finish_reason": "stop", "matched_stop": 151645}]},
        ),
        {"role": "assistant", "content": "It rains.", "reasoning_content": None, "tool_calls": None},
    ),
]


async def answered(dialect: Dialect, *, streaming: bool, turn: Any = TURN) -> tuple[Reply, Listener]:
    listener = Listener()
    if streaming:
        answer = streamed(events(*dialect.chunks, *dialect.last), "end")
    else:
        choice = {"index": 0, "message": dialect.message, "finish_reason": dialect.finish, **dialect.beside}
        answer = whole({"id": "1", "object": "chat.completion", "choices": [choice], "usage": dialect.usage})
    async with Playback(answer) as server, asking("openai", server.url) as model:
        return await model.answer(listener.to(turn) if streaming else turn), listener


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.server)
async def test_an_answer_in_any_dialect_is_read(dialect: Dialect, streaming: bool) -> None:
    reply, listener = await answered(dialect, streaming=streaming)
    assert reply.message.text() == dialect.text
    calls = [(one.name, json.loads(one.arguments)) for one in reply.message.tool_calls]
    assert calls == [(name, json.loads(arguments)) for name, arguments in dialect.calls]
    assert len({one.id for one in reply.message.tool_calls}) == len(calls)
    assert reply.stop_reason == ("tool_calls" if calls else "stop")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (9, 5)
    if streaming:
        assert (listener.text, listener.thoughts) == (dialect.text, dialect.thoughts)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.server)
async def test_a_whole_answer_to_a_streaming_request_is_read_as_well(dialect: Dialect) -> None:
    choice = {"index": 0, "message": dialect.message, "finish_reason": dialect.finish, **dialect.beside}
    listener = Listener()
    async with Playback(whole({"choices": [choice], "usage": USAGE})) as server, asking("openai", server.url) as model:
        reply = await model.answer(listener.to(TURN))
    assert reply.message.text() == listener.text == dialect.text
    assert listener.thoughts == dialect.thoughts


async def test_ids_of_calls_go_back_as_they_came() -> None:
    """Also those that another API would refuse."""
    reply = Message("assistant", None, (ToolCall("weather:0", "weather", CITY),))
    turn = TURN.replace(messages=(*TURN.messages, reply, Message("tool", "Rain.", tool_call_id="weather:0")))
    answer = whole({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]})
    async with Playback(answer) as server, asking("openai", server.url) as model:
        await model.answer(turn)
    sent = server.asked[0].body["messages"]
    assert (sent[1]["tool_calls"][0]["id"], sent[2]["tool_call_id"]) == ("weather:0", "weather:0")
