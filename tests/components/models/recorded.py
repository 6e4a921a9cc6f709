"""Answers in the shape of both model APIs: one text and one with tool calls, whole and streamed."""

from __future__ import annotations

from typing import Any

from tests.components.models.playback import events


def openai_chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "usage": None,
    }


def openai_whole(message: dict[str, Any], finish: str | None = "stop") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": OPENAI_USAGE,
    }


OPENAI_USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 10,
    "total_tokens": 1210,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
OPENAI_LAST = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-4.1-mini-2025-04-14",
    "choices": [],
    "usage": OPENAI_USAGE,
}

OPENAI_TEXT = events(
    openai_chunk({"role": "assistant", "content": "", "refusal": None}),
    openai_chunk({"content": "Grüß"}),
    openai_chunk({"content": " dich, 🌍!"}),
    openai_chunk({}, "stop"),
    OPENAI_LAST,
    "[DONE]",
)
OPENAI_TOOLS = events(
    openai_chunk(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
            ],
        }
    ),
    openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"ci'}}]}),
    openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": 'ty": "Paris"}'}}]}),
    openai_chunk(
        {
            "tool_calls": [
                {"index": 1, "id": "call_2", "type": "function", "function": {"name": "weather", "arguments": ""}}
            ]
        }
    ),
    openai_chunk({"tool_calls": [{"index": 1, "function": {"arguments": '{"city": "Rome"}'}}]}),
    openai_chunk({}, "tool_calls"),
    OPENAI_LAST,
    "[DONE]",
)

ANTHROPIC_USAGE = {"input_tokens": 20, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000}
ANTHROPIC_START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**ANTHROPIC_USAGE, "output_tokens": 1},
    },
}


def anthropic_whole(content: list[dict[str, Any]], stop: str | None = "end_turn") -> dict[str, Any]:
    return {**ANTHROPIC_START["message"], "content": content, "stop_reason": stop, "usage": {  # type: ignore[dict-item]
        **ANTHROPIC_USAGE, "output_tokens": 12}}  # fmt: skip


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def anthropic_end(stop: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 12},
        },
        {"type": "message_stop"},
    ]


def said(text: str) -> dict[str, Any]:
    return {"type": "text_delta", "text": text}


def wrote(json: str) -> dict[str, Any]:
    return {"type": "input_json_delta", "partial_json": json}


ANTHROPIC_TEXT = events(
    ANTHROPIC_START,
    {"type": "ping"},
    *block(0, {"type": "text", "text": ""}, said("Grüß"), said(" dich, 🌍!")),
    *anthropic_end("end_turn"),
    names=True,
)
ANTHROPIC_TOOLS = events(
    ANTHROPIC_START,
    *block(0, {"type": "text", "text": ""}, said("I look.")),
    *block(
        1,
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        wrote(""),
        wrote('{"ci'),
        wrote('ty": "Paris"}'),
    ),
    *block(2, {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}}, wrote('{"city": "Rome"}')),
    *anthropic_end("tool_use"),
    names=True,
)

TEXT = {"openai": OPENAI_TEXT, "anthropic": ANTHROPIC_TEXT}
TOOLS = {"openai": OPENAI_TOOLS, "anthropic": ANTHROPIC_TOOLS}
FINISHED = {"openai": b'"finish_reason": "stop"', "anthropic": b'"stop_reason": "end_turn"'}
"""What a stream has said once it is whole."""
