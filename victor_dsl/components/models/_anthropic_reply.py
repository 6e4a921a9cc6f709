"""An answer of the messages API, whole or as events, as a Reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from victor_dsl.components.models._catalogue import Rates
from victor_dsl.transport.shape import Malformed, as_count, as_list, as_map, as_text
from victor_dsl.values.message import Message, Part, Reply, StopReason, ToolCall, Usage

_STOP: Mapping[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_THOUGHTS = ("thinking", "redacted_thinking")
_GROWING = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def ends(event: Mapping[str, Any]) -> bool:
    """Whether nothing comes after this event."""
    return event.get("type") == "message_stop"


class Answer:
    """Takes the events of one answer; `reply` is given once all have come."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._input: dict[int, str] = {}
        self._stop: str | None = None
        self._usage: dict[str, Any] = {}
        self._model: str | None = None

    def take(self, event: Mapping[str, Any]) -> str:
        """Takes an event, or a whole answer of a server that does not stream; gives the text that it adds.

        Raises Malformed. Events that are not known are passed over, as the API asks of its clients.
        """
        match event.get("type"):
            case "message_start":
                self._start(as_map(event.get("message"), "message_start"))
            case "content_block_start":
                block = dict(as_map(event.get("content_block"), "a block"))
                self._blocks[_index(event)] = block
                return as_text(block.get("text"), "a block's text") if block.get("type") == "text" else ""
            case "content_block_delta":
                return self._grow(_index(event), as_map(event.get("delta"), "a delta"))
            case "message_delta":
                delta = as_map(event.get("delta"), "message_delta")
                self._stop = as_text(delta.get("stop_reason"), "a stop_reason") or self._stop
                self._count(event.get("usage"))
            case "message":
                return self.take_whole(event)
        return ""

    def take_whole(self, message: Mapping[str, Any]) -> str:
        """Takes an answer that is not streamed; gives its text. Raises Malformed."""
        blocks = [as_map(block, "a block") for block in as_list(message.get("content"), "its content")]
        self._blocks = dict(enumerate(blocks))
        self._stop = as_text(message.get("stop_reason"), "a stop_reason") or None
        self._start(message)
        return "".join(as_text(block.get("text"), "a block's text") for block in blocks if block.get("type") == "text")

    def reply(self, *, names: Mapping[str, str], rates: Rates | None) -> Reply:
        """The answer; `names` undoes changed tool names.

        Raises Malformed where the answer never came to its end: that is no answer.
        """
        if self._stop is None:
            raise Malformed("it ended before it was finished" if self._blocks else "it has no content")
        stop = _STOP.get(self._stop)
        if stop is None:
            raise Malformed("it stopped for an unknown reason")
        parts: list[Part] = []
        calls: list[ToolCall] = []
        for index, block in sorted(self._blocks.items()):
            if block.get("type") == "tool_use":
                calls.append(self._call(index, block, names, cut=stop == "length"))
            elif block.get("type") in _THOUGHTS or (block.get("type") == "text" and block.get("text")):
                parts.append({key: value for key, value in block.items() if key != "citations"})
        message = Message("assistant", _content(parts, calls), tuple(calls))
        return Reply(message, usage(self._usage, rates), stop, self._model)

    def _call(self, index: int, block: Mapping[str, Any], names: Mapping[str, str], *, cut: bool) -> ToolCall:
        id, name = as_text(block.get("id"), "a tool call's id"), as_text(block.get("name"), "a tool call's name")
        if not id or not name:
            raise Malformed("a tool call has no id or no name")
        arguments = self._input.get(index, "")
        # Nothing written means no arguments, unless the answer was cut off before they began.
        if not arguments and (block.get("input") or not cut):
            arguments = orjson.dumps(block.get("input") or {}).decode()
        return ToolCall(id, names.get(name, name), arguments)

    def _grow(self, index: int, delta: dict[str, Any]) -> str:
        block = self._blocks.get(index)
        if block is None:
            raise Malformed("a piece belongs to no block")
        kind = delta.get("type")
        if kind == "input_json_delta":
            self._input[index] = self._input.get(index, "") + as_text(delta.get("partial_json"), "a tool call's piece")
        elif key := _GROWING.get(str(kind)):
            piece = as_text(delta.get(key), "a piece")
            block[key] = as_text(block.get(key), "a block") + piece
            return piece if kind == "text_delta" else ""
        return ""

    def _start(self, message: Mapping[str, Any]) -> None:
        if isinstance(message.get("model"), str):
            self._model = message["model"]
        self._count(message.get("usage"))

    def _count(self, told: Any) -> None:
        # Later counts are totals, not increments; one that a later event leaves out still holds.
        self._usage.update({key: value for key, value in as_map(told, "its usage").items() if value is not None})


def usage(told: Mapping[str, Any], rates: Rates | None) -> Usage:
    """The usage as reported, with its cost where the price is known; the API counts cached input apart."""
    plain, output = as_count(told.get("input_tokens")), as_count(told.get("output_tokens"))
    read = as_count(told.get("cache_read_input_tokens"))
    written = as_count(told.get("cache_creation_input_tokens")) or 0
    if plain is None:
        return Usage(None, output, None, read)
    cost = None
    if rates and output is not None:
        cost = rates.cost(plain=plain, output=output, cached=read or 0, written=written)
    return Usage(plain + (read or 0) + written, output, cost, read)


def _content(parts: list[Part], calls: list[ToolCall]) -> str | tuple[Part, ...] | None:
    """Plain text; parts where thoughts come before a tool call, as the API wants them back with the call's result."""
    if calls and any(part["type"] in _THOUGHTS for part in parts):
        return tuple(parts)
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return text or (None if calls else "")


def _index(event: Mapping[str, Any]) -> int:
    index = as_count(event.get("index"))
    if index is None:
        raise Malformed("a block has no index")
    return index
