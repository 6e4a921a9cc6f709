"""An answer of the messages API, whole or streamed, as a Reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from victor_dsl.components.api_tools import join_arguments, original_tool_name, read_index, unique_id
from victor_dsl.components.hosted_models import NO_PIECE, Piece
from victor_dsl.components.models.anthropic.tool_search import has_search
from victor_dsl.components.prices import Prices, reported_usage
from victor_dsl.components.stop_reasons import read_stop_reason
from victor_dsl.transport.json_values import (
    Malformed,
    as_count,
    as_list,
    as_map,
    as_text,
    join_surrogates,
    parse_json,
    write_json,
)
from victor_dsl.values.chat_format import CONTENT_BLOCKS
from victor_dsl.values.message import NO_USAGE, Message, Part, Reply, ToolCall, Usage
from victor_dsl.values.settings import MOST_TOOL_CALLS
from victor_dsl.values.turn import Turn

_THOUGHTS = ("thinking", "redacted_thinking")
_TIERS = ("fast", "batch")  # with prices of their own
_PAUSED = ("pause_turn", "compaction")
DROPPED = -1
"""The place of a call that is over the limit."""
_TEXT_FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "compaction_delta": "content",
}


class MessageAnswer:
    """Reads one answer to a turn. Every method raises Malformed."""

    def __init__(self, turn: Turn, prices: Prices | None, model: str = "") -> None:
        self.finished = False
        self._written_by = model
        self._turn = turn
        self._prices = prices
        self._blocks: dict[int, dict[str, Any]] = {}
        self._places: dict[int | None, int] = {}
        self._input: dict[int, str] = {}
        self._calls = 0
        self._stop: str | None = None
        self._usage: dict[str, Any] = {}
        self._earlier: list[dict[str, Any]] = []
        self._earlier_usage = NO_USAGE
        self._model: str | None = None

    @property
    def complete(self) -> bool:
        """Whether the answer is complete; its usage may follow."""
        return self._stop is not None

    def add(self, event: Mapping[str, Any]) -> Piece:
        """Adds an event, or the whole answer of a server that does not stream; returns what it brings.

        Unknown events are ignored, as the API's documentation asks of clients.
        """
        match event.get("type"):
            case "message_start":
                self._start(as_map(event.get("message"), "message_start"))
            case "content_block_start":
                return self._begin(read_index(event.get("index")), as_map(event.get("content_block"), "a block"))
            case "content_block_delta":
                return self._extend(read_index(event.get("index")), as_map(event.get("delta"), "a delta"))
            case "message_delta":
                delta = as_map(event.get("delta"), "message_delta")
                self._stop = as_text(delta.get("stop_reason"), "a stop_reason") or self._stop
                self._add_usage(event.get("usage"))
            case "message_stop":
                self.finished = True
            case "message":
                return self.add_whole(event)
        return NO_PIECE

    def add_whole(self, message: Mapping[str, Any]) -> Piece:
        """Adds an answer that is not streamed; returns its text and thoughts."""
        content = message.get("content")
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        blocks = [as_map(block, "a block") for block in as_list(content, "its content")]
        self._blocks = dict(enumerate(filter(self._has_room, blocks)))
        self._stop = as_text(message.get("stop_reason"), "a stop_reason") or None
        self._start(message)
        pieces = [_piece(block) for block in blocks]
        return "".join(text for text, _ in pieces), "".join(thoughts for _, thoughts in pieces)

    def end(self) -> None:
        """Some servers end a stream so, instead of with `message_stop`."""
        self.finished = True

    def continued(self, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The request that continues an answer which the server paused, with what it has said; None where it is complete."""
        if self._stop not in _PAUSED:
            return None
        blocks = [self._whole_block(index, block) for index, block in sorted(self._blocks.items())]
        said = [block for block in blocks if block.get("type") != "text" or block.get("text")]
        self._earlier += said
        self._earlier_usage += _usage(self._usage, self._prices)
        self._blocks, self._places, self._input, self._usage, self._stop = {}, {}, {}, {}, None
        self.finished = False
        if not said:
            raise Malformed("it paused before it said anything")
        *before, last = body["messages"]
        if last["role"] == "assistant":  # paused before: both pieces are one message
            last = {**last, "content": [*last["content"], *said]}
            return {**body, "messages": [*before, last]}
        return {**body, "messages": [*before, last, {"role": "assistant", "content": said}]}

    def usage(self, written: int = 0) -> Usage:
        """The usage that was reported so far, with at least the output that was `written`."""
        usage = self._earlier_usage + _usage(self._usage, self._prices)
        missing = written - (usage.output_tokens or 0)
        if missing <= 0:
            return usage
        output = (as_count(self._usage.get("output_tokens")) or 0) + missing
        usage = self._earlier_usage + _usage({**self._usage, "output_tokens": output}, self._prices)
        return evolve(usage, estimated=True)

    def reply(self) -> Reply:
        """The complete answer; one that was cut off is Malformed."""
        if self._stop is None and not (self.finished and self._blocks):
            raise Malformed("it ended before it was finished" if self._blocks else "it has no content")
        earlier = enumerate(self._earlier, -len(self._earlier))
        numbered = [*earlier, *sorted(self._blocks.items())]
        has_calls = any(block.get("type") == "tool_use" for _, block in numbered)
        stop = read_stop_reason(self._stop or "stop", has_calls=has_calls)
        parts: list[Part] = []
        calls: list[ToolCall] = []
        ids: set[str] = set()
        for index, block in numbered:
            if block.get("type") == "tool_use":
                calls.append(self._call(index, block, ids, cut_off=stop == "length"))
            elif block.get("type") in _THOUGHTS or (block.get("type") == "text" and block.get("text")):
                parts.append({key: _clean(value) for key, value in block.items() if key != "citations"})
        message = Message("assistant", _content(parts, calls), tuple(calls))
        blocks = [*self._earlier, *(self._whole_block(*item) for item in sorted(self._blocks.items()))]
        if self._turn.deferred is not None and stop != "length" and has_search(blocks):
            own = [_as_input(block) for block in blocks if block.get("type") != "text" or block.get("text")]
            message = evolve(message, extra={CONTENT_BLOCKS: own}, written_by=self._written_by)
        return Reply(message, self.usage(), stop, self._model)

    def _whole_block(self, index: int, block: dict[str, Any]) -> dict[str, Any]:
        """The block with the input that was streamed for it."""
        if index not in self._input:
            return block
        return {**block, "input": as_map(parse_json(self._input[index].encode("utf-8", "replace")), "a tool's input")}

    def _call(self, index: int, block: Mapping[str, Any], ids: set[str], *, cut_off: bool) -> ToolCall:
        id, name = as_text(block.get("id"), "a tool call's id"), as_text(block.get("name"), "a tool call's name")
        if not name:
            raise Malformed("a tool call has no name")
        id = unique_id(id, f"call_{len(self._turn.messages)}", ids)
        arguments, written = self._input.get(index, ""), block.get("input")
        # No text means no arguments, unless the answer was cut off before them.
        if not arguments and (written or not cut_off):
            arguments = written if written and isinstance(written, str) else write_json(written or {})
        if self._stop is None and not isinstance(parse_json(arguments.encode("utf-8", "replace")), dict):
            raise Malformed("it ended before it was finished")
        return ToolCall(
            id, original_tool_name(name, tuple(self._turn.callable_tools().values())), join_arguments(arguments)
        )

    def _has_room(self, block: Mapping[str, Any]) -> bool:
        """Whether a block is no tool call, or one of the first ones."""
        self._calls += block.get("type") == "tool_use"
        return self._calls <= MOST_TOOL_CALLS or block.get("type") != "tool_use"

    def _begin(self, index: int | None, block: dict[str, Any]) -> Piece:
        """Adds a block. Some servers give all blocks one index, or none."""
        if not self._has_room(block):
            self._places[index] = DROPPED
            return NO_PIECE
        place = len(self._blocks)
        self._places[index] = place if index is None or index in self._blocks else index
        while self._places[index] in self._blocks:
            self._places[index] += 1
        self._blocks[self._places[index]] = dict(block)
        return _piece(block)

    def _extend(self, index: int | None, delta: dict[str, Any]) -> Piece:
        kind = delta.get("type")
        if index not in self._places and kind in ("text_delta", "thinking_delta"):  # not every server begins the block
            self._begin(index, {"type": kind.removesuffix("_delta")})
        if index not in self._places:
            raise Malformed("a piece belongs to no block")
        place = self._places[index]
        if place == DROPPED:
            return NO_PIECE
        block = self._blocks[place]
        if kind == "input_json_delta":
            piece = delta.get("partial_json")
            piece = write_json(piece) if isinstance(piece, dict) else as_text(piece, "a tool call's piece")
            self._input[place] = self._input.get(place, "") + piece
        elif key := _TEXT_FIELDS.get(str(kind)):
            piece = as_text(delta.get(key), "a piece")
            block[key] = as_text(block.get(key), "a block") + piece
            return piece if kind == "text_delta" else "", piece if kind == "thinking_delta" else ""
        return NO_PIECE

    def _start(self, message: Mapping[str, Any]) -> None:
        if isinstance(message.get("model"), str):
            self._model = message["model"]
        self._add_usage(message.get("usage"))

    def _add_usage(self, reported: Any) -> None:
        # Later counts are totals, not increments. A count that a later event leaves out, or writes as 0, remains valid.
        if isinstance(reported, dict):
            self._usage.update({key: value for key, value in reported.items() if value or key not in self._usage})


def _usage(reported: Mapping[str, Any], prices: Prices | None) -> Usage:
    """The reported usage. Input that the cache took or gave is no part of `input_tokens`."""
    plain, output_tokens = as_count(reported.get("input_tokens")), as_count(reported.get("output_tokens"))
    cached, written = (
        as_count(reported.get(name)) for name in ("cache_read_input_tokens", "cache_creation_input_tokens")
    )
    by_time = reported.get("cache_creation")
    written_5m, written_1h = (_count(by_time, f"ephemeral_{time}_input_tokens") for time in ("5m", "1h"))
    if written is None and (written_5m is not None or written_1h is not None):
        written = (written_5m or 0) + (written_1h or 0)
    return reported_usage(
        prices,
        input=None if plain is None else plain + (cached or 0) + (written or 0),
        output=output_tokens,
        cached=cached,
        written=written,
        written_1h=written_1h or 0,
        reasoning=_count(reported.get("output_tokens_details"), "thinking_tokens"),
        tier=next((tier for key in ("speed", "service_tier") if (tier := reported.get(key)) in _TIERS), None),
    )


def _count(counts: Any, name: str) -> int | None:
    return as_count(counts.get(name)) if isinstance(counts, dict) else None


def _content(parts: list[Part], calls: list[ToolCall]) -> str | tuple[Part, ...] | None:
    """Text; or parts, where thoughts come before a tool call: the API requires them beside the call's result."""
    if calls and any(part["type"] in _THOUGHTS for part in parts):
        return tuple(parts)
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return text or (None if calls else "")


def _piece(block: Mapping[str, Any]) -> Piece:
    """The text and the thoughts that a block begins with."""
    match block.get("type"):
        case "text":
            return as_text(block.get("text"), "a block's text"), ""
        case "thinking":
            return "", as_text(block.get("thinking"), "thoughts")
    return NO_PIECE


def _as_input(block: Mapping[str, Any]) -> dict[str, Any]:
    """The block as a request may contain it."""
    return {key: _clean(value) for key, value in block.items() if value is not None and key != "citations"}


def _clean(value: Any) -> Any:
    return join_surrogates(value) if isinstance(value, str) else value
