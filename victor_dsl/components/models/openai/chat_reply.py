"""An answer of the chat completions API, whole or streamed, as a Reply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from victor_dsl.components.api_tools import read_index
from victor_dsl.components.hosted_models import NO_PIECE, Piece
from victor_dsl.components.models.openai.streamed_calls import StreamedCalls
from victor_dsl.components.prices import Prices, reported_usage
from victor_dsl.components.stop_reasons import read_stop_reason
from victor_dsl.transport.json_values import Malformed, as_count, as_list, as_map, as_text, join_surrogates
from victor_dsl.values.chat_format import EXTRA_KEYS
from victor_dsl.values.message import Message, Reply, StopReason, Usage
from victor_dsl.values.turn import Turn

_NO_REASON = ("", "null", "none")

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


class ChatAnswer:
    """Reads one answer to a turn. Every method raises Malformed."""

    finished = False
    """Never: the stream ends with `[DONE]`, and a chunk with the usage follows the last choice."""

    def __init__(self, turn: Turn, prices: Prices | None, model: str) -> None:
        self._turn = turn
        self._model_name = model
        self._prices = prices
        self._text: list[str] = []
        self._calls = StreamedCalls(turn)
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
        choice = _first_choice(as_list(chunk.get("choices"), "its list of choices"))
        if choice is None:
            return NO_PIECE
        self._finish_reason = _reason(choice) or self._finish_reason
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
        calls = _calls_of(message)
        for position, call in enumerate(calls):
            self._calls.add(as_map(call, "a tool call"), position if whole else None)
        if not calls and message.get("function_call"):  # the API's older form of a call
            self._calls.add({"index": 0, "function": message["function_call"]}, None)
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
        usage = holder.get("usage") if isinstance(holder, dict) else None
        if isinstance(usage, dict) and any(usage.values()):  # not the zeros of a server that does not count
            self._usage = usage

    def _message_of(self, choice: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """What a choice brings, and whether it is a whole message.

        Perplexity writes all of the message so far beside each delta, and an empty delta beside a whole message.
        """
        delta = as_map(choice.get("delta"), "a delta")
        if not delta and choice.get("text"):  # the form of the older completions API
            return {"content": choice["text"]}, False
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
        if written <= (_first(_count(self._usage, "completion_tokens"), _count(self._usage, "output_tokens")) or 0):
            return read_usage(self._usage, self._prices, self._tier)
        return evolve(
            read_usage({**self._usage, "completion_tokens": written}, self._prices, self._tier), estimated=True
        )

    def reply(self) -> Reply:
        """The complete answer; one that was cut off is Malformed."""
        stop = self._stop_reason()
        calls = self._calls.complete(cut_off=stop == "length")
        if self._refused:
            stop = "content_filter"
        content = join_surrogates("".join(self._text))
        extra = self._extra if self._is_in_an_exchange() else {}
        written_by = self._model_name if extra or any(call.extra for call in calls) else None
        message = Message(
            "assistant", content or (None if calls else ""), calls, extra=extra or None, written_by=written_by
        )
        return Reply(message, self.usage(), stop, self._model)

    def _stop_reason(self) -> StopReason:
        if self._finish_reason is not None:
            return read_stop_reason(self._finish_reason, has_calls=bool(self._calls))
        if not self._text and not self._calls:
            raise Malformed("it has no choices")
        if self._ended and self._calls.are_complete():
            return "tool_calls" if self._calls else "stop"  # Ollama and others leave out the reason
        raise Malformed("it ended before it was finished")

    def _is_in_an_exchange(self) -> bool:
        """Whether the provider wants its reasoning back: the answer calls tools, or follows their results."""
        messages = self._turn.messages
        return bool(self._calls) or bool(messages and messages[-1].role == "tool")


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
    input_tokens = _first(*(_count(reported, f"{name}_tokens") for name in (input, "prompt", "input")))
    output_tokens = _first(*(_count(reported, f"{name}_tokens") for name in (output, "completion", "output")))
    of_input, of_output = reported.get(f"{input}_tokens_details"), reported.get(f"{output}_tokens_details")
    reasoning = _first(_count(of_output, "reasoning_tokens"), _count(reported, "reasoning_tokens"))
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


def _first_choice(choices: list[Any]) -> dict[str, Any] | None:
    """The first of the choices that a request may ask for. A stream brings the others in chunks of their own."""
    maps = (as_map(choice, "a choice") for choice in choices)
    return next((choice for choice in maps if not read_index(choice.get("index"))), None)


def _reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    if isinstance(reason, dict):
        reason = reason.get("type")
    return reason if isinstance(reason, str) and reason.lower() not in _NO_REASON else None


def _calls_of(message: Mapping[str, Any]) -> list[Any]:
    calls = message.get("tool_calls") or None
    if isinstance(calls, dict):  # TGI streams one call as an object; languages without lists write them as a map
        return [calls] if "function" in calls else list(calls.values())
    return [call for call in as_list(calls, "tool_calls") if call is not None]


def _read_content(content: Any) -> Piece:
    """The text and the thoughts of a message's content. Mistral writes both as a list of parts."""
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return as_text(content or None, "its content"), ""
    text = thoughts = ""
    for part in content:
        if isinstance(part, str):
            text += part
            continue
        fields = as_map(part, "a part")
        if fields.get("type") in ("thinking", "reasoning"):
            thoughts += _text_of(fields.get("thinking") or fields.get("text"))
        else:
            text += as_text(fields.get("text"), "a part's text")
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
