"""A chat completion, whole or in pieces, as a Reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import define

from victor_dsl.components.models._catalogue import Rates
from victor_dsl.transport.shape import Malformed, as_count, as_list, as_map, as_text
from victor_dsl.values.message import Message, Reply, StopReason, ToolCall, Usage

_STOP: Mapping[str, StopReason] = {
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


@define
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class Answer:
    """Takes the pieces of one answer; `reply` is given once all have come."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._finish: str | None = None
        self._refused = False
        self._usage: dict[str, Any] = {}
        self._model: str | None = None

    def take(self, piece: Mapping[str, Any]) -> str:
        """Takes a chunk or a whole completion; gives the text that it adds. Raises Malformed."""
        if isinstance(piece.get("model"), str):
            self._model = piece["model"]
        if piece.get("usage"):
            self._usage = as_map(piece["usage"], "its usage")
        for element in as_list(piece.get("choices"), "its list of choices")[:1]:
            choice = as_map(element, "a choice")
            self._finish = as_text(choice.get("finish_reason"), "a finish_reason") or self._finish
            whole = choice.get("message") is not None
            message = as_map(choice["message"] if whole else choice.get("delta"), "a message")
            for position, call in enumerate(as_list(message.get("tool_calls"), "tool_calls")):
                self._take_call(as_map(call, "a tool call"), position if whole else None)
            text = _text(message.get("content"))
            if refusal := as_text(message.get("refusal"), "a refusal"):
                self._refused = True
                text += refusal
            if text:
                self._text.append(text)
            return text
        return ""

    def reply(self, *, names: Mapping[str, str], rates: Rates | None, call_prefix: str) -> Reply:
        """The answer. `names` undoes changed tool names; a call without an id gets `call_prefix` and its number.

        Raises Malformed where the answer never came to its end: that is no answer.
        """
        if self._finish is None:
            raise Malformed("it ended before it was finished" if self._text or self._calls else "it has no choices")
        stop = _STOP.get(self._finish)
        if stop is None:
            raise Malformed("it finished for an unknown reason")
        calls = []
        for number, call in sorted(self._calls.items()):
            if not call.name:
                raise Malformed("a tool call has no name")
            # Nothing written means no arguments, unless the answer was cut off before they began.
            arguments = call.arguments or ("" if stop == "length" else "{}")
            calls.append(ToolCall(call.id or f"{call_prefix}{number}", names.get(call.name, call.name), arguments))
        if self._refused:
            stop = "content_filter"
        elif calls and stop == "stop":
            stop = "tool_calls"
        content = "".join(self._text)
        message = Message("assistant", content or (None if calls else ""), tuple(calls))
        return Reply(message, usage(self._usage, rates), stop, self._model)

    def _take_call(self, call: dict[str, Any], position: int | None) -> None:
        index = as_count(call.get("index")) if position is None else position
        id = as_text(call.get("id"), "a tool call's id")
        if index is None:  # some servers number nothing: a new id begins a new call
            index = max(self._calls, default=-1)
            if index < 0 or (id and id != self._calls[index].id):
                index += 1
        held = self._calls.setdefault(index, _Call())
        function = as_map(call.get("function"), "a tool call's function")
        held.id = held.id or id
        held.name = held.name or as_text(function.get("name"), "a tool call's name")
        arguments = function.get("arguments")
        held.arguments += orjson.dumps(arguments).decode() if isinstance(arguments, dict) else as_text(
            arguments, "a tool call's arguments"
        )  # fmt: skip


def usage(told: Mapping[str, Any], rates: Rates | None) -> Usage:
    """The usage as reported, with its cost where the price is known."""
    sent, written = as_count(told.get("prompt_tokens")), as_count(told.get("completion_tokens"))
    details = told.get("prompt_tokens_details")
    cached = as_count(details.get("cached_tokens")) if isinstance(details, dict) else None
    cost = None
    if rates and sent is not None and written is not None:
        read = min(cached or 0, sent)
        cost = rates.cost(plain=sent - read, output=written, cached=read)
    return Usage(sent, written, cost, cached)


def _text(content: Any) -> str:
    if isinstance(content, list):
        parts = [as_map(part, "a part") for part in content]
        return "".join(as_text(part.get("text"), "a part's text") for part in parts if part.get("type") == "text")
    return as_text(content, "its content")
