"""What answers of OpenAI's and Anthropic's APIs report of themselves, whole or streamed, while they pass."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from victor_dsl.transport.sse import Decoder
from victor_dsl.values.message import Usage

MOST_BYTES = 16 << 20
"""The most bytes of an answer that are read, decompressed; a longer one passes and reports nothing more."""


class AnswerReader:
    """Takes the bytes of one answer as they come; `recorded` is what it reported so far."""

    def __init__(self, content_type: str, encoding: str) -> None:
        self._inflate = zlib.decompressobj(47) if encoding in ("gzip", "x-gzip", "deflate") else None
        self._decoder = Decoder() if content_type.startswith("text/event-stream") else None
        self._whole = bytearray()
        self._left = MOST_BYTES if self._inflate or encoding in ("", "identity") else 0
        self._usage: dict[str, Any] = {}
        self._model: str | None = None
        self._stop_reason: str | None = None

    def feed(self, chunk: bytes) -> None:
        """Reads a piece of the body."""
        if self._left <= 0:
            return
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, self._left)
            except zlib.error:
                self._left = 0
                return
        self._left -= len(chunk)
        if self._decoder is None:
            self._whole += chunk
        else:
            for data in self._decoder.feed(chunk):
                self._read(data)

    def recorded(self) -> dict[str, Any]:
        """Model, usage and stop reason, as far as they were reported."""
        if self._decoder is None and self._left > 0:
            self._read(bytes(self._whole))
        return {"model": self._model, "usage": read_usage(self._usage).as_json(), "stop_reason": self._stop_reason}

    def _read(self, data: bytes) -> None:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            return
        for holder in (value, _map(value, "message"), _map(value, "response")):  # Anthropic's first event; Responses'
            if isinstance(holder, Mapping):
                self._add(holder)
        if isinstance(value, Mapping) and (delta := _map(value, "delta")):
            self._add(delta)

    def _add(self, holder: Mapping[str, Any]) -> None:
        if isinstance(model := holder.get("model"), str):
            self._model = model
        if isinstance(usage := holder.get("usage"), Mapping):
            self._usage |= {key: count for key, count in usage.items() if count is not None}
        choices = holder.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        for reason in (_get(choice, "finish_reason"), holder.get("stop_reason"), _final(holder.get("status"))):
            if isinstance(reason, str):
                self._stop_reason = reason


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """The usage of either API: all input together, of which some was cached."""
    cached, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    given = _count(usage, "prompt_tokens")
    if given is None and (given := _count(usage, "input_tokens")) is not None:
        given += (cached or 0) + (written or 0)  # Anthropic counts these apart
    details = _map(usage, "prompt_tokens_details") or _map(usage, "input_tokens_details")
    answered = _map(usage, "completion_tokens_details") or _map(usage, "output_tokens_details")
    output = _count(usage, "completion_tokens")
    return Usage(
        given,
        _count(usage, "output_tokens") if output is None else output,
        cached_tokens=_count(details, "cached_tokens") if cached is None else cached,
        cache_write_tokens=written,
        reasoning_tokens=_count(answered, "reasoning_tokens"),
    )


def _map(value: Any, key: str) -> Mapping[str, Any]:
    inner = _get(value, key)
    return inner if isinstance(inner, Mapping) else {}


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _count(usage: Mapping[str, Any], key: str) -> int | None:
    count = usage.get(key)
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def _final(status: Any) -> str | None:
    """How an answer of the Responses API ended; None while it is under way."""
    return status if status in ("completed", "incomplete", "failed", "cancelled") else None
