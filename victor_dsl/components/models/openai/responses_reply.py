"""An answer of the Responses API, whole or streamed, as a Reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from victor_dsl.components.api_tools import join_arguments, original_tool_name
from victor_dsl.components.hosted_models import NO_PIECE, Piece, Reported
from victor_dsl.components.models.openai.chat_reply import read_usage
from victor_dsl.components.prices import Prices
from victor_dsl.components.stop_reasons import Interrupted, unknown_reason
from victor_dsl.transport.json_values import Malformed, as_count, as_list, as_map, as_text, join_surrogates
from victor_dsl.values.chat_format import RESPONSE_ITEMS
from victor_dsl.values.message import Message, Reply, StopReason, ToolCall, Usage
from victor_dsl.values.turn import Turn

_LIMITS = ("max_output_tokens", "max_tokens", "length")
_TEXTS = ("response.output_text.delta", "response.refusal.delta")
_THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_LAST = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
SEARCHES = ("tool_search_call", "tool_search_output")
_PARAGRAPH = "\n\n"

Item = dict[str, Any]


class ResponseAnswer:
    """Reads one answer to a turn. Every method raises Malformed."""

    def __init__(self, turn: Turn, prices: Prices | None, model: str) -> None:
        self.finished = False
        self._turn = turn
        self._prices = prices
        self._model_name = model
        self._items: dict[int, Item] = {}
        self._arguments: dict[int, str] = {}
        self._speaking: int | None = None
        self._response: dict[str, Any] = {}

    @property
    def complete(self) -> bool:
        """Whether the answer is complete; its usage may follow."""
        return self.finished

    def add(self, event: Mapping[str, Any]) -> Piece:
        """Adds an event, or the whole answer of a server that does not stream; returns what it brings.

        Unknown events are ignored.
        """
        type = event.get("type")
        if type in _TEXTS:
            return self._paragraph(as_count(event.get("output_index"))) + as_text(event.get("delta"), "a piece"), ""
        if type in _THOUGHTS:
            return "", as_text(event.get("delta"), "a piece")
        match type:
            case "response.output_item.added" | "response.output_item.done":
                self._items[_index(event)] = as_map(event.get("item"), "an item")
            case "response.function_call_arguments.delta":
                index = _index(event)
                self._arguments[index] = self._arguments.get(index, "") + as_text(event.get("delta"), "a piece")
            case "response.created" | "response.in_progress":
                self._response = as_map(event.get("response"), "the response")
            case str() if type in _LAST:
                self.finished = True
                self._end(as_map(event.get("response"), "the response"))
            case None if event.get("object") == "response":
                return self.add_whole(event)
        return NO_PIECE

    def add_whole(self, response: Mapping[str, Any]) -> Piece:
        """Adds an answer that is not streamed; returns its text and thoughts."""
        self._end(response)
        return items_text(self._output()), "".join(map(_summary, self._output()))

    def end(self) -> None:
        """Nothing: this API ends its streams with an event."""

    def continued(self, body: Mapping[str, Any]) -> None:
        """None: this API never pauses an answer."""

    def usage(self, written: int = 0) -> Usage:
        """The usage that was reported so far, with at least the output that was `written`."""
        usage, tier = self._response.get("usage"), self._response.get("service_tier")
        reported = usage if isinstance(usage, dict) else {}
        tier = tier if isinstance(tier, str) else None
        if written <= (as_count(reported.get("output_tokens")) or 0):
            return read_usage(reported, self._prices, tier, "input", "output")
        reported = {**reported, "output_tokens": written}
        return evolve(read_usage(reported, self._prices, tier, "input", "output"), estimated=True)

    def reply(self) -> Reply:
        """The complete answer; one that was cut off is Malformed."""
        stop = self._stop_reason()
        items = self._output()
        calls = tuple(
            self._call(item, cut_off=stop == "length") for item in items if item.get("type") == "function_call"
        )
        if any(part.get("type") == "refusal" for item in items for part in _parts(item)):
            stop = "content_filter"
        elif calls and stop == "stop":
            stop = "tool_calls"
        text = join_surrogates(items_text(items))
        extra = {RESPONSE_ITEMS: [_as_input(item) for item in items]} if _is_worth_keeping(items, stop) else None
        message = Message(
            "assistant",
            text or (None if calls else ""),
            calls,
            extra=extra,
            written_by=self._model_name if extra else None,
        )
        model = self._response.get("model")
        return Reply(message, self.usage(), stop, model if isinstance(model, str) else None)

    def _end(self, response: Mapping[str, Any]) -> None:
        self._response = dict(response)
        if response.get("error") or response.get("status") == "failed":
            raise Reported(response.get("error") or {"message": "the response failed"})

    def _output(self) -> list[Item]:
        """The answer's items, each with the arguments that were streamed for it. Some servers end a stream without them."""
        whole = [as_map(item, "an item") for item in as_list(self._response.get("output"), "its output")]
        if whole:
            return whole
        return [
            {**item, "arguments": self._arguments[index]}
            if not item.get("arguments") and index in self._arguments
            else item
            for index, item in sorted(self._items.items())
        ]

    def _stop_reason(self) -> StopReason:
        match self._response.get("status"):
            case "completed":
                return "stop"
            case "incomplete":
                details = as_map(self._response.get("incomplete_details"), "its incomplete_details")
                reason = as_text(details.get("reason"), "a reason") or "unknown"
                return "length" if reason in _LIMITS else unknown_reason(reason)
            case "cancelled" as status:
                raise Interrupted(f"the answer broke off with '{status}'")
            case None | "in_progress" | "queued":
                raise Malformed("it ended before it was finished" if self._response else "it has no output")
            case status:
                return unknown_reason(str(status))

    def _call(self, item: Item, *, cut_off: bool) -> ToolCall:
        id, name = as_text(item.get("call_id"), "a call_id"), as_text(item.get("name"), "a tool call's name")
        if not id or not name:
            raise Malformed("a tool call has no id or no name")
        # No text means no arguments, unless the answer was cut off before them.
        arguments = join_arguments(as_text(item.get("arguments"), "a tool call's arguments")) or (
            "" if cut_off else "{}"
        )
        return ToolCall(id, original_tool_name(name, tuple(self._turn.callable_tools().values())), arguments)

    def _paragraph(self, index: int | None) -> str:
        """What separates the text of one message from that of the message before it."""
        before, self._speaking = self._speaking, index
        return "" if before in (None, index) else _PARAGRAPH


def items_text(items: Iterable[Item]) -> str:
    """The text of an answer's items; its messages are separated by an empty line."""
    texts = ("".join(as_text(_text(part), "a text") for part in _parts(as_map(item, "an item"))) for item in items)
    return _PARAGRAPH.join(text for text in texts if text)


def call_ids(items: Iterable[Item]) -> list[Any]:
    """The ids of the calls among an answer's items."""
    return [item.get("call_id") for item in items if item.get("type") == "function_call"]


def _is_worth_keeping(items: list[Item], stop: StopReason) -> bool:
    """Whether the items say more than the message does: reasoning, the phase of a text, a search for tools. What was cut off does not
    go back."""
    return stop != "length" and any(
        item.get("encrypted_content") or item.get("phase") or item.get("type") in SEARCHES for item in items
    )


def _as_input(item: Item) -> Item:
    """The item as a request may contain it."""
    kept = {key: value for key, value in item.items() if value is not None}
    if item.get("type") == "message":
        kept["content"] = [{key: part[key] for key in part if key != "logprobs"} for part in _parts(item)]
    return kept


def _parts(item: Item) -> list[dict[str, Any]]:
    if item.get("type") != "message":
        return []
    return [as_map(part, "a part") for part in as_list(item.get("content"), "its content")]


def _text(part: Mapping[str, Any]) -> Any:
    return part.get("text") if part.get("type") == "output_text" else part.get("refusal")


def _summary(item: Item) -> str:
    """The thoughts of an item, in full or as a summary."""
    if item.get("type") != "reasoning":
        return ""
    parts = [*as_list(item.get("summary"), "a summary"), *as_list(item.get("content"), "its content")]
    return "".join(as_text(as_map(part, "a part").get("text"), "a text") for part in parts)


def _index(event: Mapping[str, Any]) -> int:
    index = as_count(event.get("output_index"))
    if index is None:
        raise Malformed("a piece belongs to no item")
    return index
