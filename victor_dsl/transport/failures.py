"""Every failure of a server as a ModelError of one kind, without secrets."""

from __future__ import annotations

import math
import os
import re
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
import orjson
from attrs import field, frozen

from victor_dsl.errors import ModelError, ModelErrorKind
from victor_dsl.transport.json_values import as_count

_MAX_QUOTED = 300
_MAX_DIGITS = 12
_TOO_LONG = re.compile(
    r"context.?(length|window|size|limit)|prompt is too long|input is too long|too many (input )?tokens"
    r"|maximum (number of )?(input )?tokens|reduce the length",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content.?(filter|policy|management)", re.IGNORECASE)

_TOKEN_COUNTS = (
    # OpenAI, Azure and OpenRouter, with the answer in the count
    r"context length is (?P<window>\d+) tokens.{0,50}? (?P<all>\d+) tokens \(.{0,80}?(?P<answer>\d+) (?:in|for) the (?:comp|outp)",
    # OpenAI and vLLM, without it
    r"context length is (?P<window>\d+) tokens.{0,50}?(?:has|in|least|requested) (?P<counted>\d+) (?:input )?tokens",
    r"passed (?P<counted>\d+) input tokens.{0,120}?context length is only (?P<window>\d+) tokens",
    # Anthropic
    r"prompt is too long: (?P<counted>\d+) tokens > (?P<window>\d+) maximum",
    r"exceed context limit: (?P<counted>\d+) \+ \d+ > (?P<window>\d+)",
    # Gemini
    r"input token count \((?P<counted>\d+)\) exceeds the maximum number of tokens allowed \((?P<window>\d+)\)",
    # any server that names only the window
    r"maximum context length (?:is|of) (?P<window>\d+) tokens",
)
"""How servers write the tokens that they counted and accept. llama.cpp uses fields of its error instead."""

_KIND_BY_STATUS: Mapping[int, ModelErrorKind] = {
    401: "authentication",
    402: "authentication",
    403: "authentication",
    408: "timeout",
    429: "rate_limited",
    504: "timeout",
}
_KIND_BY_WORD: tuple[tuple[str, ModelErrorKind], ...] = (
    ("rate_limit", "rate_limited"),
    ("quota", "rate_limited"),
    ("overloaded", "overloaded"),
    ("server_error", "overloaded"),
    ("api_error", "overloaded"),
    ("unavailable", "overloaded"),
    ("timeout", "timeout"),
    ("authentication", "authentication"),
    ("permission", "authentication"),
    ("invalid_api_key", "authentication"),
    ("billing", "authentication"),
    ("invalid_request", "bad_request"),
    ("not_found", "bad_request"),
)
_VERBS: Mapping[ModelErrorKind, str] = {
    "authentication": "refused the API key or its permissions",
    "rate_limited": "accepts no more requests for now",
    "overloaded": "failed or is overloaded",
    "timeout": "timed out",
    "bad_request": "refused the request",
    "context_length": "reports that the request is longer than the context window",
    "bad_response": "gave no usable answer",
    "content_filter": "refused the content",
}
_HINTS: Mapping[ModelErrorKind, str] = {
    "authentication": "check its `api_key`",
    "context_length": "lower `context_window`, so that compaction shortens the request in time",
}


class TimeLimits(Protocol):
    """The time limits of a component's Config."""

    @property
    def timeout_seconds(self) -> float:
        """For a whole answer."""
        ...

    @property
    def connect_timeout_seconds(self) -> float:
        """For opening a connection."""
        ...

    @property
    def chunk_timeout_seconds(self) -> float:
        """For the silence in a stream."""
        ...


@frozen
class Failures:
    """Makes errors of one server's failures. `secrets` are removed from everything that the server says."""

    node: str
    host: str
    limits: TimeLimits
    now: Callable[[], float]
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def of_exception(self, error: Exception, *, begun: bool) -> ModelError:
        """A failure of the connection. `begun` says whether the answer had started to arrive."""
        match error:
            case aiohttp.ConnectionTimeoutError():
                what = f"no connection to {self.host} within {self.limits.connect_timeout_seconds:g} s"
                return self._error("timeout", what)
            case aiohttp.SocketTimeoutError():
                seconds = f"{self.limits.chunk_timeout_seconds:g} s"
                return self._error("timeout", f"{self.host} sent nothing for {seconds}")
            case TimeoutError():
                seconds = f"{self.limits.timeout_seconds:g} s"
                return self._error("timeout", f"no complete answer from {self.host} within {seconds}")
            case aiohttp.ClientConnectorDNSError():
                return self._error("unreachable", f"the host {self.host} was not found")
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
                return self._error("unreachable", f"no TLS connection to {self.host}: {self.quote(str(error))}")
            case aiohttp.ClientConnectorError():
                number = error.os_error.errno
                reason = os.strerror(number) if number else self.quote(str(error.os_error))
                return self._error("unreachable", f"no connection to {self.host}: {reason}")
            case aiohttp.ClientPayloadError():
                return self.bad_response("the answer was cut off")
            case aiohttp.ClientResponseError():
                return self.bad_response("the answer is not valid HTTP")
            case _ if begun:
                return self.bad_response("the connection was lost in the middle of the answer")
            case aiohttp.ServerDisconnectedError():
                return self._error("unreachable", f"{self.host} closed the connection without an answer")
            case _:
                return self._error("unreachable", f"the connection to {self.host} failed: {self.quote(str(error))}")

    def of_status(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """An answer whose status is not 2xx."""
        if 300 <= status < 400:
            target = self.quote(headers.get("Location", "nowhere"))
            return self._error(
                "bad_request", f"{self.host} redirects to {target}", status=status, hint="check `base_url`"
            )
        try:
            error = orjson.loads(body)
        except orjson.JSONDecodeError:
            error = None
        words, text = _words(error)
        kind = _kind(status, words, text)
        if not text:
            html = body.lstrip()[:1] == b"<"
            text = "an HTML page instead of JSON" if html else body[: 4 * _MAX_QUOTED].decode("utf-8", "replace")
        return self._reported(kind, error, text, status, _retry_after(headers, self.now()))

    def of_error_object(self, error: Any) -> ModelError:
        """An error object in an answer whose status was 2xx."""
        words, text = _words(error)
        return self._reported(_kind(_status(error), words, text), error, text)

    def bad_response(self, what: str) -> ModelError:
        """An answer that cannot be used."""
        return self._error("bad_response", f"{self.host} gave no usable answer: {what}")

    def quote(self, text: str) -> str:
        """The start of what the server sent, on one line, and without the key if it echoes that."""
        for secret in self.secrets:
            text = text.replace(secret, "[secret]")
        text = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * _MAX_QUOTED]).split())
        return text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "…"

    def _reported(
        self,
        kind: ModelErrorKind,
        error: Any,
        text: str,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> ModelError:
        what = f"{self.host} {_VERBS[kind]}"
        what += f" (HTTP {status})" if status else ""
        quoted = self.quote(text)
        counted, window = _token_counts(error, text) if kind == "context_length" else (None, None)
        return self._error(
            kind,
            f"{what}: {quoted}" if quoted else what,
            status=status,
            retry_after_s=retry_after_s,
            counted=counted,
            window=window,
        )

    def _error(self, kind: ModelErrorKind, message: str, *, hint: str | None = None, **more: Any) -> ModelError:
        return ModelError(message, kind=kind, node=self.node, hint=hint or _HINTS.get(kind), **more)


def _kind(status: int | None, words: str, text: str) -> ModelErrorKind:
    """The kind of an error. Servers disagree on the status of a request that is too long, so its text is read first."""
    if status is None or status in (400, 404, 413, 422, 500):
        if _TOO_LONG.search(f"{words} {text}"):
            return "context_length"
        if _FILTERED.search(words):
            return "content_filter"
    if status is None:
        return next((kind for word, kind in _KIND_BY_WORD if word in words), "bad_response")
    if status in _KIND_BY_STATUS:
        return _KIND_BY_STATUS[status]
    return "overloaded" if status >= 500 else "bad_request" if status >= 400 else "bad_response"


def _words(error: Any) -> tuple[str, str]:
    """The type and code of an error object, in lower case, and its message. Servers put them in different places."""
    if isinstance(error, dict):
        inner = error.get("error", error)
        if isinstance(inner, dict):
            words = " ".join(str(inner[key]) for key in ("type", "code") if isinstance(inner.get(key), str | int))
            text = next((inner[key] for key in ("message", "detail", "msg") if inner.get(key)), "")
            return words.lower(), text if isinstance(text, str) else _compact(text)
        return "", inner if isinstance(inner, str) else _compact(inner)
    return "", error if isinstance(error, str) else ""


def _status(error: Any) -> int | None:
    """The HTTP status that an error object has as its code; some gateways write it so."""
    inner = error.get("error") if isinstance(error, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code[:4])
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _token_counts(error: Any, text: str) -> tuple[int | None, int | None]:
    """The tokens of a request that is too long, and the context window, if the server writes them."""
    inner = error.get("error", error) if isinstance(error, dict) else None
    if isinstance(inner, dict) and "n_prompt_tokens" in inner:
        return as_count(inner["n_prompt_tokens"]), as_count(inner.get("n_ctx"))
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text[: 4 * _MAX_QUOTED])
    found = next((found for pattern in _TOKEN_COUNTS if (found := re.search(pattern, text, re.IGNORECASE))), None)
    if found is None:
        return None, None
    numbers = {name: int(text) for name, text in found.groupdict().items() if text and len(text) <= _MAX_DIGITS}
    if {"all", "answer"} <= numbers.keys():
        return as_count(numbers["all"] - numbers["answer"]), numbers.get("window")
    return as_count(numbers.get("counted")), numbers.get("window")


def _compact(value: Any) -> str:
    return orjson.dumps(value).decode("utf-8", "replace")


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """The wait that the server asks for: `retry-after-ms`, or `Retry-After` in seconds or a date (RFC 9110, §10.2.3)."""
    for name, scale in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        return max(0.0, parsedate_to_datetime(headers["Retry-After"]).timestamp() - now)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
