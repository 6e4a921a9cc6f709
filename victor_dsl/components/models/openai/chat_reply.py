"""An answer of the chat completions API, whole or streamed, as a Reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import define, evolve, field

from victor_dsl.components.api_tools import join_arguments, original_tool_name
from victor_dsl.components.hosted_models import NO_PIECE, Piece, unknown_reason
from victor_dsl.components.prices import Prices, reported_usage
from victor_dsl.transport.json_values import Malformed, as_count, as_list, as_map, as_text, join_surrogates, parse_json
from victor_dsl.values.chat_format import EXTRA_KEYS, call_extra
from victor_dsl.values.message import Message, Reply, StopReason, ToolCall, Usage
from victor_dsl.values.turn import Turn

_STOP_REASONS: Mapping[str, StopReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
}
"""In lower case."""


_PLAIN_KEYS = frozenset({"role", "content"})
_CONTINUED = ("text", "summary", "thinking", "data")
"""The fields of a part of thoughts whose text a stream continues."""

_THOUGHT_FIELDS = (
    "reasoning_content",
    "reasoning",
    "reasoning_text",
    "thinking",
    "reasoning_details",
    "thinking_blocks",
)


@define
class _Call:
    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: dict[str, Any] = field(factory=dict)

    def is_other(self, id: str, name: str, arguments: str) -> bool:
        """Whether this piece begins another call. Some servers give all calls one index, or none."""
        if id and self.id:
            return id != self.id
        if not name or not self.name or id or self.id:
            return False
        return name != self.name or (
            arguments.lstrip().startswith("{") and isinstance(parse_json(self.arguments.encode()), dict)
        )


class ChatAnswer:
    """Reads one answer to a turn. Every method raises Malformed."""

    finished = False
    """Never: the stream ends with `[DONE]`, and a chunk with the usage follows the last choice."""

    def __init__(self, turn: Turn, prices: Prices | None, model: str) -> None:
        self._turn = turn
        self._model_name = model
        self._prices = prices
        self._text: list[str] = []
        self._calls: list[_Call] = []
        self._extra: dict[str, Any] = {}
        self._finish_reason: str | None = None
        self._ended = False
        self._refused = False
        self._usage: dict[str, Any] = {}
        self._tier: str | None = None
        self._model: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the answer is complete; its usage may follow."""
        return self._finish_reason is not None

    def add_whole(self, completion: Mapping[str, Any]) -> Piece:
        """Adds an answer that is not streamed; returns its text and thoughts."""
        return self.add(completion)

    def add(self, chunk: Mapping[str, Any]) -> Piece:
        """Adds a chunk, or a whole completion; returns the text and the thoughts that it brings."""
        if isinstance(chunk.get("model"), str):
            self._model = chunk["model"]
        if chunk.get("usage") or "x_groq" in chunk:
            self._add_usage(chunk)
            self._add_usage(chunk.get("x_groq"))
        if isinstance(chunk.get("service_tier"), str):
            self._tier = chunk["service_tier"]
        choices = as_list(chunk.get("choices"), "its list of choices")
        if not choices:
            return NO_PIECE
        choice = as_map(choices[0], "a choice")
        self._finish_reason = as_text(choice.get("finish_reason"), "a finish_reason") or self._finish_reason
        if "usage" in choice:  # Kimi's place for it
            self._add_usage(choice)
        message, whole = self._message_of(choice)
        text, thoughts = _read_content(message.get("content"))
        if not message.keys() <= _PLAIN_KEYS:
            more_text, more_thoughts = self._add_more(message, whole=whole)
            text, thoughts = text + more_text, thoughts or more_thoughts
        if text:
            self._text.append(text)
        return text, thoughts

    def _add_more(self, message: Mapping[str, Any], *, whole: bool) -> Piece:
        """Adds what a message, or a piece of one, has beside its content; returns the text and the thoughts of that."""
        for position, call in enumerate(_calls_of(message)):
            self._add_call(as_map(call, "a tool call"), position if whole else None)
        if message.get("function_call"):  # the API's older form of a call
            self._add_call({"index": 0, "function": message["function_call"]}, None)
        for key in EXTRA_KEYS:
            if message.get(key):
                self._extra[key] = _merged(self._extra.get(key), message[key])
        audio = message.get("audio")
        text = as_text(audio.get("transcript"), "a transcript") if isinstance(audio, dict) else ""
        if refusal := as_text(message.get("refusal"), "a refusal"):
            self._refused = True
            text += refusal
        return text, _thoughts(message)

    def _add_usage(self, holder: Any) -> None:
        if isinstance(holder, dict) and isinstance(usage := holder.get("usage"), dict) and usage:
            self._usage = usage

    def _message_of(self, choice: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """What a choice brings, and whether it is a whole message.

        Perplexity writes all of the message so far beside each delta, and an empty delta beside a whole message.
        """
        delta = as_map(choice.get("delta"), "a delta")
        if (
            choice.get("message") is None
            or self._text
            or self._calls
            or delta.get("content")
            or delta.get("tool_calls")
        ):
            return delta, False
        return as_map(choice["message"], "a message"), True

    def end(self) -> None:
        """The stream has ended with `[DONE]`."""
        self._ended = True

    def continued(self, body: Mapping[str, Any]) -> None:
        """None: this API never pauses an answer."""

    def usage(self, written: int = 0) -> Usage:
        """The usage that was reported so far, with at least the output that was `written`."""
        if written <= (as_count(self._usage.get("completion_tokens")) or 0):
            return read_usage(self._usage, self._prices, self._tier)
        return evolve(
            read_usage({**self._usage, "completion_tokens": written}, self._prices, self._tier), estimated=True
        )

    def reply(self) -> Reply:
        """The complete answer; one that was cut off is Malformed."""
        stop = self._stop_reason()
        in_order = sorted(self._calls, key=lambda call: call.index)
        calls = tuple(self._call(number, call, cut_off=stop == "length") for number, call in enumerate(in_order))
        if self._refused:
            stop = "content_filter"
        elif calls and stop == "stop":
            stop = "tool_calls"
        content = join_surrogates("".join(self._text))
        extra = self._extra if self._is_in_an_exchange() else {}
        written_by = self._model_name if extra or any(call.extra for call in calls) else None
        message = Message(
            "assistant", content or (None if calls else ""), calls, extra=extra or None, written_by=written_by
        )
        return Reply(message, self.usage(), stop, self._model)

    def _stop_reason(self) -> StopReason:
        if self._finish_reason is not None:
            return _STOP_REASONS.get(self._finish_reason.lower()) or unknown_reason(self._finish_reason)
        if not self._text and not self._calls:
            raise Malformed("it has no choices")
        are_complete = all(isinstance(parse_json(call.arguments.encode()), dict) for call in self._calls)
        if self._ended and are_complete:
            return "stop"  # Ollama and others leave out the reason
        raise Malformed("it ended before it was finished")

    def _is_in_an_exchange(self) -> bool:
        """Whether the provider wants its reasoning back: the answer calls tools, or follows their results."""
        messages = self._turn.messages
        return bool(self._calls) or bool(messages and messages[-1].role == "tool")

    def _call(self, number: int, call: _Call, *, cut_off: bool) -> ToolCall:
        if not call.name:
            raise Malformed("a tool call has no name")
        # No text means no arguments, unless the answer was cut off before them.
        arguments = join_arguments(call.arguments) or ("" if cut_off else "{}")
        # Some servers send no ids. The turn's length makes this one unique in its conversation.
        id = call.id or f"call_{len(self._turn.messages)}_{number}"
        return ToolCall(id, original_tool_name(call.name, self._turn.tools), arguments, call.extra or None)

    def _add_call(self, call: dict[str, Any], position: int | None) -> None:
        index = as_count(call.get("index")) if position is None else position
        function = as_map(call.get("function"), "a tool call's function")
        id = as_text(call.get("id"), "a tool call's id")
        name = as_text(function.get("name"), "a tool call's name")
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = orjson.dumps(arguments).decode()
        arguments = as_text(arguments, "a tool call's arguments")
        collected = self._collected(index, id, name, arguments)
        collected.id = collected.id or id
        collected.name = collected.name or name
        collected.arguments += arguments
        for key, value in (call_extra(call) or {}).items():
            if value is not None:
                collected.extra[key] = value

    def _collected(self, index: int | None, id: str, name: str, arguments: str) -> _Call:
        """The call to which a piece belongs: the latest with its index; the latest of all if it has none."""
        same = [call for call in self._calls if index is None or call.index == index]
        if same and not same[-1].is_other(id, name, arguments):
            return same[-1]
        if same and id and (earlier := next((call for call in same if call.id == id), None)):
            return earlier
        if index is None:
            index = max((call.index for call in self._calls), default=-1) + 1
        self._calls.append(_Call(index))
        return self._calls[-1]


def _merged(before: Any, piece: Any) -> Any:
    """A further field with what a stream adds to it: text is continued, and so is the last part of a list."""
    if isinstance(before, str) and isinstance(piece, str):
        return before + piece
    if isinstance(before, dict) and isinstance(piece, dict):
        return {**before, **piece}
    if not isinstance(piece, list):
        return piece
    parts = list(before) if isinstance(before, list) else []
    for part in piece:
        if parts and _continues(parts[-1], part):
            parts[-1] = {key: _joined(key, parts[-1].get(key), part.get(key)) for key in {**parts[-1], **part}}
        else:
            parts.append(part)
    return parts


def _continues(last: Any, part: Any) -> bool:
    if not isinstance(last, dict) or not isinstance(part, dict):
        return False
    same = all(last.get(key) == part.get(key) for key in ("type", "index"))
    return same and not last.get("signature") and not (last.get("id") and part.get("id") and last["id"] != part["id"])


def _joined(key: str, before: Any, piece: Any) -> Any:
    if key in _CONTINUED and isinstance(before, str) and isinstance(piece, str):
        return before + piece
    return before if piece is None else piece


def read_usage(
    reported: Mapping[str, Any],
    prices: Prices | None,
    tier: str | None,
    input: str = "prompt",
    output: str = "completion",
) -> Usage:
    """The reported usage. `input` and `output` are what the API calls them.

    Cached input is a part of the input, under a name that differs from server to server.
    """
    input_tokens, output_tokens = as_count(reported.get(f"{input}_tokens")), as_count(reported.get(f"{output}_tokens"))
    of_input, of_output = reported.get(f"{input}_tokens_details"), reported.get(f"{output}_tokens_details")
    reasoning = _count(of_output, "reasoning_tokens")
    if output_tokens is not None:
        total = as_count(reported.get("total_tokens"))
        missing = None if total is None or input_tokens is None else max(total - input_tokens - output_tokens, 0)
        if reasoning is None and missing:  # Gemini's thoughts count in the total alone
            reasoning, output_tokens = missing, output_tokens + missing
        elif reasoning and (reasoning > output_tokens if missing is None else reasoning <= missing):
            output_tokens += reasoning  # xAI's thoughts are no part of their output
    return reported_usage(
        prices,
        input=input_tokens,
        output=output_tokens,
        cached=_first(
            _count(of_input, "cached_tokens"),
            _count(reported, "prompt_cache_hit_tokens"),
            _count(reported, "cached_tokens"),
            _count(reported, "cache_read_input_tokens"),
        ),
        written=_first(_count(of_input, "cache_write_tokens"), _count(reported, "cache_creation_input_tokens")),
        reasoning=reasoning,
        tier=tier,
    )


def _count(counts: Any, name: str) -> int | None:
    return as_count(counts.get(name)) if isinstance(counts, dict) else None


def _first(*counts: int | None) -> int | None:
    """The first count that the server reports, and of several zeros and one other the other."""
    return next(filter(None, counts), next((count for count in counts if count is not None), None))


def _calls_of(message: Mapping[str, Any]) -> list[Any]:
    calls = message.get("tool_calls")
    return [calls] if isinstance(calls, dict) else as_list(calls, "tool_calls")  # TGI streams one call as an object


def _read_content(content: Any) -> Piece:
    """The text and the thoughts of a message's content. Mistral writes both as a list of parts."""
    if not isinstance(content, list):
        return as_text(content, "its content"), ""
    text = thoughts = ""
    for part in (as_map(part, "a part") for part in content):
        if part.get("type") == "text":
            text += as_text(part.get("text"), "a part's text")
        elif part.get("type") == "thinking":
            thoughts += _text_of(part.get("thinking"))
    return text, thoughts


def _thoughts(message: Mapping[str, Any]) -> str:
    """The thoughts of a message or a piece of one, in the first of the fields that servers write them to."""
    return next((text for key in _THOUGHT_FIELDS if (value := message.get(key)) and (text := _text_of(value))), "")


def _text_of(thoughts: Any) -> str:
    """The text of thoughts: text, or a list of parts."""
    if isinstance(thoughts, str):
        return thoughts
    if not isinstance(thoughts, list):
        return ""
    parts = [part for part in thoughts if isinstance(part, dict)]
    texts = [part.get("text") or part.get("summary") or part.get("thinking") for part in parts]
    return "".join(text for text in texts if isinstance(text, str))
