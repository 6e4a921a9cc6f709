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

RESPONSES_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 100},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 1210,
}


def response(output: list[dict[str, Any]], status: str = "completed", **fields: Any) -> dict[str, Any]:
    """A whole answer of the Responses API."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1.0,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": "gpt-5-mini-2025-08-07",
        "output": output,
        "parallel_tool_calls": True,
        "store": False,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE if status != "in_progress" else None,
        **fields,
    }


def spoken(text: str, id: str = "msg_1", **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"type": "message", "id": id, "role": "assistant", "status": "completed", "content": content, **fields}


def called(name: str, arguments: str, call_id: str) -> dict[str, Any]:
    about = {"id": f"fc_{call_id}", "call_id": call_id, "name": name, "status": "completed"}
    return {"type": "function_call", "arguments": arguments, **about}


def reasoned(summary: str = "Let me see.", id: str = "rs_1", encrypted: str = "gAAAA==") -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": summary}]
    return {"type": "reasoning", "id": id, "summary": parts, "encrypted_content": encrypted}


def responses_stream(
    output: list[dict[str, Any]], last: dict[str, Any] | None = None, pieces: int = 2, end: str = "response.completed"
) -> list[dict[str, Any]]:
    """The events of an answer with that output, whose texts and arguments come in pieces."""
    written: list[dict[str, Any]] = [
        {"type": "response.created", "response": response([], "in_progress")},
        {"type": "response.in_progress", "response": response([], "in_progress")},
    ]
    for index, item in enumerate(output):
        at = {"output_index": index, "item_id": item["id"]}
        empty: dict[str, dict[str, Any]] = {
            "message": {"content": []},
            "function_call": {"arguments": ""},
            "reasoning": {"summary": []},
        }
        begun = {**item, **empty[item["type"]], **({"status": "in_progress"} if "status" in item else {})}
        written.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        match item["type"]:
            case "message":
                part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
                written.append({"type": "response.content_part.added", **at, "content_index": 0, "part": part})
                about = {"type": "response.output_text.delta", **at, "content_index": 0, "logprobs": []}
                written += [{**about, "delta": piece} for piece in _pieces(item["content"][0]["text"], pieces)]
            case "function_call":
                about = {"type": "response.function_call_arguments.delta", **at}
                written += [{**about, "delta": piece} for piece in _pieces(item["arguments"], pieces)]
                arguments = {"name": item["name"], "arguments": item["arguments"]}
                written.append({"type": "response.function_call_arguments.done", **at, **arguments})
            case "reasoning":
                about = {"type": "response.reasoning_summary_text.delta", **at, "summary_index": 0}
                written += [{**about, "delta": piece} for piece in _pieces(item["summary"][0]["text"], pieces)]
        written.append({"type": "response.output_item.done", "output_index": index, "item": item})
    written.append({"type": end, "response": last or response(output)})
    return [{**event, "sequence_number": number} for number, event in enumerate(written)]


def _pieces(text: str, number: int) -> list[str]:
    size = -(-len(text) // number)
    return [text[start : start + size] for start in range(0, len(text), size)] if text else [""]


RESPONSES_TEXT = events(*responses_stream([reasoned(), spoken("Grüß dich, 🌍!")]), names=True)
RESPONSES_TOOLS = events(
    *responses_stream(
        [
            reasoned(),
            spoken("I look.", phase="commentary"),
            called("weather", '{"city": "Paris"}', "call_1"),
            called("weather", '{"city": "Rome"}', "call_2"),
        ]
    ),
    names=True,
)

TEXT = {"openai": OPENAI_TEXT, "responses": RESPONSES_TEXT, "anthropic": ANTHROPIC_TEXT}
TOOLS = {"openai": OPENAI_TOOLS, "responses": RESPONSES_TOOLS, "anthropic": ANTHROPIC_TOOLS}
FINISHED = {
    "openai": b'"finish_reason": "stop"',
    "responses": b'"type": "response.completed"',
    "anthropic": b'"stop_reason": "end_turn"',
}
"""What a stream has said once it is whole."""
