"""An answer of the Responses API, whole or streamed, as a Reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve

from victor_dsl.components.api_tools import is_object, join_arguments, original_tool_name, read_index, unique_id
from victor_dsl.components.hosted_models import NO_PIECE, Piece, Reported
from victor_dsl.components.models.openai.chat_reply import read_usage
from victor_dsl.components.prices import Prices
from victor_dsl.components.stop_reasons import Interrupted, unknown_reason
from victor_dsl.transport.json_values import Malformed, as_count, as_list, as_map, as_text, join_surrogates, write_json
from victor_dsl.values.chat_format import RESPONSE_ITEMS
from victor_dsl.values.message import Message, Reply, StopReason, ToolCall, Usage
from victor_dsl.values.settings import MOST_TOOL_CALLS
from victor_dsl.values.turn import Turn

_LIMITS = ("max_output_tokens", "max_tokens", "length")
_TEXTS = ("response.output_text.delta", "response.refusal.delta")
_THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_LAST = ("response.completed", "response.done", "response.incomplete", "response.failed", "response.cancelled")
SEARCHES = ("tool_search_call", "tool_search_output")
_PARAGRAPH = "\n\n"

Item = Mapping[str, Any]
NO_ITEM: Item = {}


class ResponseAnswer:
    """Reads one answer to a turn. Every method raises Malformed."""

    def __init__(self, turn: Turn, prices: Prices | None, model: str) -> None:
        self.finished = False
        self._turn = turn
        self._prices = prices
        self._model_name = model
        self._items: dict[int, Item] = {}
        self._texts: dict[int, str] = {}
        self._arguments: dict[int, str] = {}
        self._places: dict[int | str, int] = {}
        self._next_place = 0
        self._latest: int | None = None
        self._speaking: int | None = None
        self._response: dict[str, Any] = {}
        self._ended = False

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
            place, piece = self._place(event), as_text(event.get("delta"), "a piece")
            self._texts[place] = self._texts.get(place, "") + piece
            return self._paragraph(place) + piece, ""
        if type in _THOUGHTS:
            return "", as_text(event.get("delta"), "a piece")
        match type:
            case "response.output_item.added" | "response.output_item.done":
                item = as_map(event.get("item"), "an item")
                self._items[self._place(event, item)] = item
            case "response.function_call_arguments.delta":
                place = self._place(event)
                self._arguments[place] = self._arguments.get(place, "") + as_text(event.get("delta"), "a piece")
            case "response.function_call_arguments.done" if event.get("arguments"):
                self._arguments[self._place(event)] = as_text(event["arguments"], "a tool call's arguments")
            case "response.created" | "response.in_progress":
                self._response = as_map(event.get("response"), "the response")
            case str() if type in _LAST:
                self.finished = True
                status = type.removeprefix("response.").replace("done", "completed")
                self._end({"status": status, **(as_map(event.get("response"), "the response") or self._created())})
                if not self._texts:  # the server streams no text
                    return items_text(self._output()), ""
            case None if event.get("object") == "response" or isinstance(event.get("output"), list):
                return self.add_whole(event)
        return NO_PIECE

    def add_whole(self, response: Mapping[str, Any]) -> Piece:
        """Adds an answer that is not streamed; returns its text and thoughts."""
        self._end({"status": "completed", **response})
        if response.get("output") is None:
            raise Malformed("it has no output")
        return items_text(self._output()), "".join(map(_summary, self._output()))

    def end(self) -> None:
        """This API ends its streams with an event; not every server does."""
        self._ended = True

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
        ids: set[str] = set()
        calls = tuple(
            self._call(item, ids, cut_off=stop == "length") for item in items if item.get("type") == "function_call"
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

    def _created(self) -> dict[str, Any]:
        """The response as it began, for a last event without one."""
        return {key: value for key, value in self._response.items() if key not in ("status", "output")}

    def _output(self) -> list[Item]:
        """The answer's items, each with what was streamed of it, with as many calls as are read."""
        calls = 0
        items: list[Item] = []
        for item in self._all_output():
            calls += item.get("type") == "function_call"
            if calls <= MOST_TOOL_CALLS or item.get("type") != "function_call":
                items.append(item)
        return items

    def _all_output(self) -> list[Item]:
        """All items. Some servers end a stream without them."""
        whole: list[Item] = [as_map(item, "an item") for item in as_list(self._response.get("output"), "its output")]
        if whole:
            return whole
        items = {place: {"type": "message", "role": "assistant"} for place in self._texts} | self._items
        for place, item in items.items():
            if not item.get("arguments") and place in self._arguments:
                items[place] = {**item, "arguments": self._arguments[place]}
            elif place in self._texts and not items_text([item]):
                items[place] = {**item, "content": [{"type": "output_text", "text": self._texts[place]}]}
        return [item for _, item in sorted(items.items())]

    def _stop_reason(self) -> StopReason:
        status = self._response.get("status")
        match status.lower() if isinstance(status, str) else status:
            case "completed":
                return "stop"
            case "incomplete":
                details = self._response.get("incomplete_details")
                reason = details.get("reason") if isinstance(details, dict) else details
                return "length" if reason in _LIMITS else unknown_reason(str(reason or "unknown"))
            case None | "in_progress" if self._ended and self._is_whole():
                return "stop"
            case "cancelled" as status:
                raise Interrupted(f"the answer broke off with '{status}'")
            case None | "in_progress" | "queued":
                raise Malformed("it ended before it was finished" if self._response else "it has no output")
            case status:
                return unknown_reason(str(status))

    def _is_whole(self) -> bool:
        items = self._output()
        return bool(items) and all(is_object(_arguments(item)) for item in items if item.get("type") == "function_call")

    def _call(self, item: Item, ids: set[str], *, cut_off: bool) -> ToolCall:
        id, name = as_text(item.get("call_id") or item.get("id"), "a call_id"), as_text(item.get("name"), "a name")
        if not name:
            raise Malformed("a tool call has no name")
        id = unique_id(id, f"call_{len(self._turn.messages)}", ids)
        # No text means no arguments, unless the answer was cut off before them.
        arguments = join_arguments(_arguments(item)) or ("" if cut_off else "{}")
        return ToolCall(id, original_tool_name(name, tuple(self._turn.callable_tools().values())), arguments)

    def _place(self, event: Mapping[str, Any], item: Item = NO_ITEM) -> int:
        """Where an event's item stands: at its index; else where its id stood before, or where the latest event's item stands.

        Ids may differ from event to event of one item, and one index may be that of two calls.
        """
        key = read_index(event.get("output_index"))
        key = key if key is not None else event.get("item_id") or item.get("id") or item.get("call_id")
        place = self._places.get(key) if isinstance(key, int | str) else self._latest
        if place is None and not isinstance(key, int) and self._latest not in self._items:
            place = self._latest  # the item of what was streamed before it
        held = self._items.get(place, NO_ITEM) if place is not None else NO_ITEM
        ids = held.get("call_id"), item.get("call_id")
        if place is None or (all(ids) and ids[0] != ids[1]):
            taken = key in self._items or key in self._texts or key in self._arguments
            place = key if isinstance(key, int) and not taken else self._next_place
            self._next_place = max(self._next_place, place + 1)
            if isinstance(key, int | str):
                self._places[key] = place
        self._latest = place
        return place

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
    if item.get("type", "message") != "message":
        return []
    content = item.get("content")
    if isinstance(content, str):
        return [{"type": "output_text", "text": content}]
    return [as_map(part, "a part") for part in as_list(content, "its content")]


def _text(part: Mapping[str, Any]) -> Any:
    return part.get("refusal") if part.get("type") == "refusal" else part.get("text")


def _arguments(item: Item) -> str:
    arguments = item.get("arguments")
    if isinstance(arguments, dict):
        return write_json(arguments)
    return as_text(arguments, "a tool call's arguments")


def _summary(item: Item) -> str:
    """The thoughts of an item, in full or as a summary."""
    if item.get("type") != "reasoning":
        return ""
    parts = [*as_list(item.get("summary"), "a summary"), *as_list(item.get("content"), "its content")]
    return "".join(
        part if isinstance(part, str) else as_text(as_map(part, "a part").get("text"), "a text") for part in parts
    )
