"""The chat completions API: a turn as the body of a request, and its answer, whole or streamed, as a Reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from attrs import define, field, frozen

from victor_dsl.components.hosted_models import Prices, ToolDefinitions, api_tool_name, original_tool_name
from victor_dsl.transport.json_values import Malformed, as_count, as_list, as_map, as_text
from victor_dsl.values.message import Message, Part, Reply, StopReason, ToolCall, Usage
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

_THOUGHTS = ("thinking", "redacted_thinking")

_STOP_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
}


@frozen
class ChatRequest:
    """Writes requests to one model. `sampling` says whether it accepts `temperature` and `top_p`."""

    model: str
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"]
    sampling: bool
    prompt_cache_key: str | None
    stream_usage: bool
    extra_body: Mapping[str, Any]
    _tools: ToolDefinitions = field(init=False, factory=lambda: ToolDefinitions(_tool))

    def body(self, turn: Turn) -> dict[str, Any]:
        """The request's body. What stays the same from turn to turn comes first, as prompt caches need it."""
        body: dict[str, Any] = {"model": self.model}
        if turn.tools:
            body["tools"] = self._tools.of(turn.tools)
        messages: list[dict[str, Any]] = [{"role": "system", "content": turn.system}] if turn.system else []
        messages.extend(map(_message, turn.messages))
        body["messages"] = messages
        body.update(self._settings(turn.settings))
        if turn.streaming:
            body["stream"] = True
            if self.stream_usage:
                body["stream_options"] = {"include_usage": True}
        body.update(self.extra_body)
        return body

    def _settings(self, settings: Settings) -> dict[str, Any]:
        values = {
            "temperature": settings.temperature if self.sampling else None,
            "top_p": settings.top_p if self.sampling else None,
            self.max_tokens_field: settings.max_tokens,
            "stop": list(settings.stop) if settings.stop else None,
            "seed": settings.seed,
            "response_format": settings.response_format,
            "prompt_cache_key": self.prompt_cache_key,
        }
        return {name: value for name, value in values.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    content = message.content
    written: dict[str, Any] = {
        "role": message.role,
        "content": content if isinstance(content, str) else _parts(content, message),
    }
    if message.tool_calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": api_tool_name(call.name), "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        written["tool_call_id"] = message.tool_call_id
    elif message.name is not None:
        written["name"] = api_tool_name(message.name)
    return written


def _parts(content: tuple[Part, ...] | None, message: Message) -> str | list[Part] | None:
    if content is None:
        return None if message.tool_calls else ""
    # Thoughts belong to another provider. Many servers accept an assistant's text only as a string.
    parts = [part for part in content if part.get("type") not in _THOUGHTS]
    if message.role != "user" and all(part.get("type") == "text" for part in parts):
        return message.text()
    return parts


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": api_tool_name(tool.name), "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


@define
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class ChatAnswer:
    """Reads one answer to a turn. Every method raises Malformed."""

    finished = False
    """Never: the stream ends with `[DONE]`, and a chunk with the usage follows the last choice."""

    def __init__(self, turn: Turn, prices: Prices | None) -> None:
        self._turn = turn
        self._prices = prices
        self._text: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._finish_reason: str | None = None
        self._refused = False
        self._usage: dict[str, Any] = {}
        self._model: str | None = None

    def add_whole(self, completion: Mapping[str, Any]) -> str:
        """Adds an answer that is not streamed; returns its text."""
        return self.add(completion)

    def add(self, chunk: Mapping[str, Any]) -> str:
        """Adds a chunk, or a whole completion; returns the text that it brings."""
        if isinstance(chunk.get("model"), str):
            self._model = chunk["model"]
        if chunk.get("usage"):
            self._usage = as_map(chunk["usage"], "its usage")
        choices = as_list(chunk.get("choices"), "its list of choices")
        if not choices:
            return ""
        choice = as_map(choices[0], "a choice")
        self._finish_reason = as_text(choice.get("finish_reason"), "a finish_reason") or self._finish_reason
        whole = choice.get("message") is not None
        message = as_map(choice["message"] if whole else choice.get("delta"), "a message")
        for position, call in enumerate(as_list(message.get("tool_calls"), "tool_calls")):
            self._add_call(as_map(call, "a tool call"), position if whole else None)
        text = _answer_text(message.get("content"))
        if refusal := as_text(message.get("refusal"), "a refusal"):
            self._refused = True
            text += refusal
        if text:
            self._text.append(text)
        return text

    def reply(self) -> Reply:
        """The complete answer; one that was cut off is Malformed."""
        if self._finish_reason is None:
            raise Malformed("it ended before it was finished" if self._text or self._calls else "it has no choices")
        stop = _STOP_REASONS.get(self._finish_reason)
        if stop is None:
            raise Malformed("it finished for an unknown reason")
        calls: tuple[ToolCall, ...] = ()
        if self._calls:
            in_order = sorted(self._calls.items())
            calls = tuple(self._call(number, call, cut_off=stop == "length") for number, call in in_order)
        if self._refused:
            stop = "content_filter"
        elif calls and stop == "stop":
            stop = "tool_calls"
        content = "".join(self._text)
        message = Message("assistant", content or (None if calls else ""), calls)
        return Reply(message, _usage(self._usage, self._prices), stop, self._model)

    def _call(self, number: int, call: _Call, *, cut_off: bool) -> ToolCall:
        if not call.name:
            raise Malformed("a tool call has no name")
        # No text means no arguments, unless the answer was cut off before them.
        arguments = call.arguments or ("" if cut_off else "{}")
        # Some servers send no ids. The turn's length makes this one unique in its conversation.
        id = call.id or f"call_{len(self._turn.messages)}_{number}"
        return ToolCall(id, original_tool_name(call.name, self._turn.tools), arguments)

    def _add_call(self, call: dict[str, Any], position: int | None) -> None:
        index = as_count(call.get("index")) if position is None else position
        id = as_text(call.get("id"), "a tool call's id")
        if index is None:  # some servers send no index: a new id starts a new call
            index = max(self._calls, default=-1)
            if index < 0 or (id and id != self._calls[index].id):
                index += 1
        collected = self._calls.setdefault(index, _Call())
        function = as_map(call.get("function"), "a tool call's function")
        collected.id = collected.id or id
        collected.name = collected.name or as_text(function.get("name"), "a tool call's name")
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            collected.arguments += orjson.dumps(arguments).decode()
        else:
            collected.arguments += as_text(arguments, "a tool call's arguments")


def _usage(reported: Mapping[str, Any], prices: Prices | None) -> Usage:
    """The reported usage, and its cost where the prices are known."""
    input_tokens, output_tokens = as_count(reported.get("prompt_tokens")), as_count(reported.get("completion_tokens"))
    details = reported.get("prompt_tokens_details")
    cached = as_count(details.get("cached_tokens")) if isinstance(details, dict) else None
    cost = None
    if prices and input_tokens is not None and output_tokens is not None:
        cache_read = min(cached or 0, input_tokens)  # this API counts cached input in `prompt_tokens`
        cost = prices.cost(plain=input_tokens - cache_read, output=output_tokens, cache_read=cache_read)
    return Usage(input_tokens, output_tokens, cost, cached)


def _answer_text(content: Any) -> str:
    if isinstance(content, list):
        parts = [as_map(part, "a part") for part in content]
        return "".join(as_text(part.get("text"), "a part's text") for part in parts if part.get("type") == "text")
    return as_text(content, "its content")
