"""How long a model's stream may be silent, and which of its events have output: text, thoughts, a call, the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import define

from victor_dsl.errors import TimeLimit
from victor_dsl.values.message import messages_tokens
from victor_dsl.values.turn import Turn

FIRST_TOKEN_SECONDS = 12.0
"""How long a fallback waits for the first token of the model before it, by default: for a short prompt to a model that does
not think unseen."""

TOKENS_PER_SECOND = 5_000
"""How many tokens of a prompt may make the first token a second later: a slow server reads as many."""

THINKING_SECONDS = 90.0
"""How long a fallback waits for the first token of a model that thinks unseen, by default."""

SILENCE_SECONDS = 20.0
"""How long a fallback waits for the next token, by default; twice as long where it cannot replace the text that went out."""

LONGEST_SILENCE_SECONDS = 180.0
"""How long any other silence may be, by default."""

LAST_SECONDS = 5.0
"""How long to wait, after the end of an answer, for its usage and the end of its stream."""


class Limits(Protocol):
    """The part of a model's Config that limits its silence."""

    @property
    def first_token_seconds(self) -> float | None:
        """The longest wait for the first event with output."""
        ...

    @property
    def chunk_timeout_seconds(self) -> float | None:
        """The longest wait between two events with output."""
        ...

    @property
    def thinks_unseen(self) -> bool:
        """Whether the model may think for long before its first output."""
        ...


class Reader(Protocol):
    """What reads the answer."""

    @property
    def finished(self) -> bool:
        """Whether the last event was read."""
        ...

    @property
    def complete(self) -> bool:
        """Whether only its usage may follow."""
        ...

    def end(self) -> None:
        """The stream has ended."""
        ...


@define(eq=False)
class ModelStream:
    """One stream of a model's answer to a turn: where it stands, and how long it may be silent now."""

    turn: Turn
    limits: Limits
    reader: Reader
    began: bool = False
    in_tool_call: bool = False

    @property
    def finished(self) -> bool:
        """Whether the last event was read."""
        return self.reader.finished

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, whatever follows."""
        return self.reader.complete

    def end(self) -> None:
        """The stream has ended."""
        self.reader.end()

    def note(self, event: Mapping[str, Any]) -> bool:
        """Notes an event, and returns whether it has output."""
        output = has_output(event)
        self.began = self.began or output
        self.in_tool_call = self.in_tool_call or _begins_call(event)
        return output

    def time_limit(self) -> tuple[TimeLimit, float]:
        """Which limit applies now, and within how many seconds after the last output the next must come."""
        limits, turn = self.limits, self.turn
        if self.reader.complete:
            return "silence", LAST_SECONDS
        longest = limits.chunk_timeout_seconds or LONGEST_SILENCE_SECONDS
        if not self.began:
            if limits.first_token_seconds is not None:
                return "first_token", limits.first_token_seconds
            if not turn.fallback_left:
                return "silence", longest
            seconds = FIRST_TOKEN_SECONDS + messages_tokens(turn.messages) / TOKENS_PER_SECOND
            return "first_token", min(max(seconds, THINKING_SECONDS) if self._thinks else seconds, longest)
        if self._thinks or self.in_tool_call or not turn.fallback_left or limits.chunk_timeout_seconds is not None:
            return "silence", longest
        return "silence", SILENCE_SECONDS if turn.may_try_again else 2 * SILENCE_SECONDS

    @property
    def _thinks(self) -> bool:
        settings = self.turn.settings
        return (
            self.limits.thinks_unseen
            or (settings.thinking is not None and settings.thinking.type != "disabled")
            or settings.reasoning_effort not in (None, "none", "minimal")
        )


def has_output(event: Mapping[str, Any]) -> bool:
    """Whether an event has a part of the answer. Events that are empty, name a role or keep the connection open have none."""
    if isinstance(choices := event.get("choices"), list):
        return any(map(_chunk_has_output, choices)) if choices else bool(event.get("usage"))
    type = event.get("type")
    if not isinstance(type, str):
        return bool(event.get("content") or event.get("output"))  # a whole answer
    match type:
        case "content_block_start":
            return _block_has_output(event.get("content_block"))
        case "content_block_delta":
            return _has_content(event.get("delta"), "type")
        case "message_delta" | "message_stop" | "content_block_stop" | "message":
            return True
        case "response.created" | "response.in_progress" | "response.queued" | "response.content_part.added":
            return False
        case "response.output_item.added":
            return _block_has_output(event.get("item"))
    return type.startswith("response.") and ("delta" not in event or bool(event["delta"]))


def _chunk_has_output(choice: Any) -> bool:
    if not isinstance(choice, Mapping):
        return False
    message = choice.get("delta") or choice.get("message")
    return bool(choice.get("finish_reason")) or _has_content(message, "role") or bool(choice.get("text"))


def _block_has_output(block: Any) -> bool:
    """Whether a block or an item that begins has output: an empty text has none, thoughts and calls have."""
    if not isinstance(block, Mapping):
        return False
    return block.get("type") not in ("text", "message") or bool(block.get("text") or block.get("content"))


def _has_content(fields: Any, apart_from: str) -> bool:
    return isinstance(fields, Mapping) and any(value for key, value in fields.items() if key != apart_from)


def _begins_call(event: Mapping[str, Any]) -> bool:
    choices = event.get("choices")
    if isinstance(choices, list):
        deltas = [choice.get("delta") for choice in choices if isinstance(choice, Mapping)]
        return any(isinstance(delta, Mapping) and delta.get("tool_calls") for delta in deltas)
    block = event.get("content_block") or event.get("item")
    return isinstance(block, Mapping) and str(block.get("type")).endswith(("tool_use", "_call"))
