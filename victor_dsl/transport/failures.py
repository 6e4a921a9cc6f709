"""Every way that a server fails, told as a ModelError of one kind, with nothing secret in it."""

from __future__ import annotations

import math
import os
import re
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from attrs import field, frozen

from victor_dsl.errors import ModelError, ModelErrorKind
from victor_dsl.transport.json_values import as_count
from victor_dsl.transport.server_config import ServerConfig

_QUOTED = 300
_DIGITS = 12
_TOO_LONG = re.compile(
    r"context.?(length|window|size|limit)|prompt is too long|input is too long|too many (input )?tokens"
    r"|maximum (number of )?(input )?tokens|reduce the length",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content.?(filter|policy|management)", re.IGNORECASE)

_NUMBERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # OpenAI, Azure and OpenRouter with the answer in the count, then OpenAI and vLLM without
        r"context length is (?P<window>\d+) tokens.{0,50}? (?P<all>\d+) tokens \(.{0,80}?(?P<answer>\d+) (?:in|for) the (?:comp|outp)",
        r"context length is (?P<window>\d+) tokens.{0,50}?(?:has|in|least|requested) (?P<counted>\d+) (?:input )?tokens",
        r"passed (?P<counted>\d+) input tokens.{0,120}?context length is only (?P<window>\d+) tokens",
        # Anthropic
        r"prompt is too long: (?P<counted>\d+) tokens > (?P<window>\d+) maximum",
        r"exceed context limit: (?P<counted>\d+) \+ \d+ > (?P<window>\d+)",
        # Gemini
        r"input token count \((?P<counted>\d+)\) exceeds the maximum number of tokens allowed \((?P<window>\d+)\)",
        # The window alone
        r"maximum context length (?:is|of) (?P<window>\d+) tokens",
    )
)
"""How servers say what they counted and what they take. llama.cpp says it in fields of its error."""

_BY_STATUS: Mapping[int, ModelErrorKind] = {
    401: "authentication",
    402: "authentication",
    403: "authentication",
    408: "timeout",
    429: "rate_limited",
    504: "timeout",
}
_BY_WORD: tuple[tuple[str, ModelErrorKind], ...] = (
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
_SAID: Mapping[ModelErrorKind, str] = {
    "authentication": "refused the API key or what it may do",
    "rate_limited": "takes no more requests for now",
    "overloaded": "failed or is overloaded",
    "timeout": "gave up waiting",
    "bad_request": "refused the request",
    "context_length": "says that the request is longer than the context window",
    "bad_response": "gave no usable answer",
    "content_filter": "refused the content",
}
_HINTS: Mapping[ModelErrorKind, str] = {
    "authentication": "check its `api_key`",
    "context_length": "lower `context_window`, so that compaction makes room in time",
}


@frozen
class Failures:
    """Tells the failures of one server. `secrets` are cut out of whatever the server says."""

    node: str
    host: str
    config: ServerConfig
    now: Callable[[], float]
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def of_exception(self, error: Exception, *, begun: bool) -> ModelError:
        """A failure of the connection; `begun` says that an answer had begun to arrive."""
        match error:
            case aiohttp.ConnectionTimeoutError():
                what = f"no connection to {self.host} within {self.config.connect_timeout_seconds:g} s"
                return self._error("timeout", what)
            case aiohttp.SocketTimeoutError():
                seconds = f"{self.config.chunk_timeout_seconds:g} s"
                return self._error("timeout", f"nothing came from {self.host} for {seconds}")
            case TimeoutError():
                seconds = f"{self.config.timeout_seconds:g} s"
                return self._error("timeout", f"no whole answer from {self.host} within {seconds}")
            case aiohttp.ClientConnectorDNSError():
                return self._error("unreachable", f"the host {self.host} cannot be found")
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
                return self._error("unreachable", f"no TLS connection to {self.host}: {self.quote(str(error))}")
            case aiohttp.ClientConnectorError():
                number = error.os_error.errno
                reason = os.strerror(number) if number else self.quote(str(error.os_error))
                return self._error("unreachable", f"no connection to {self.host}: {reason}")
            case aiohttp.ClientPayloadError():
                return self.bad_response("the answer broke off")
            case aiohttp.ClientResponseError():
                return self.bad_response("the answer is not HTTP as it should be")
            case _ if begun:
                return self.bad_response("the connection broke off within the answer")
            case aiohttp.ServerDisconnectedError():
                return self._error("unreachable", f"{self.host} closed the connection without an answer")
            case _:
                return self._error("unreachable", f"the connection to {self.host} failed: {self.quote(str(error))}")

    def of_status(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """An answer that is not 200."""
        if 300 <= status < 400:
            place = self.quote(headers.get("Location", "nowhere"))
            return self._error(
                "bad_request", f"{self.host} redirects to {place}", status=status, hint="check `base_url`"
            )
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            told = None
        words, text = _words(told)
        kind = self._kind(status, words, text)
        if not text:
            page = body.lstrip()[:1] == b"<"
            text = "a page of HTML instead of JSON" if page else body[: 4 * _QUOTED].decode("utf-8", "replace")
        return self._told(kind, text, status, _retry_after(headers, self.now()), told)

    def of_object(self, told: Any) -> ModelError:
        """An error object within an answer that began well."""
        words, text = _words(told)
        return self._told(self._kind(_status(told), words, text), text, told=told)

    def bad_response(self, what: str) -> ModelError:
        """An answer that is none."""
        return self._error("bad_response", f"{self.host} gave no usable answer: {what}")

    def quote(self, text: str) -> str:
        """What the server said, on one line, cut, and without the key where it is echoed back."""
        for secret in self.secrets:
            text = text.replace(secret, "[secret]")
        text = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * _QUOTED]).split())
        return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"

    def _kind(self, status: int | None, words: str, text: str) -> ModelErrorKind:
        if status is None or status in (400, 404, 413, 422, 500):
            if _TOO_LONG.search(f"{words} {text}"):
                return "context_length"
            if _FILTERED.search(words):
                return "content_filter"
        if status is None:
            return next((kind for word, kind in _BY_WORD if word in words), "bad_response")
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        return "overloaded" if status >= 500 else "bad_request" if status >= 400 else "bad_response"

    def _told(
        self,
        kind: ModelErrorKind,
        text: str,
        status: int | None = None,
        retry_after_s: float | None = None,
        told: Any = None,
    ) -> ModelError:
        what = f"{self.host} {_SAID[kind]}"
        what += f" (HTTP {status})" if status else ""
        said = self.quote(text)
        counted, window = _numbers(told, text) if kind == "context_length" else (None, None)
        return self._error(
            kind,
            f"{what}: {said}" if said else what,
            status=status,
            retry_after_s=retry_after_s,
            counted=counted,
            window=window,
        )

    def _error(self, kind: ModelErrorKind, message: str, *, hint: str | None = None, **more: Any) -> ModelError:
        return ModelError(message, kind=kind, node=self.node, hint=hint or _HINTS.get(kind), **more)


def _words(told: Any) -> tuple[str, str]:
    """The type and code of an error object, in lower case, and its message. Servers differ in where they put them."""
    if isinstance(told, dict):
        inner = told.get("error", told)
        if isinstance(inner, dict):
            words = " ".join(str(inner[key]) for key in ("type", "code") if isinstance(inner.get(key), str | int))
            text = next((inner[key] for key in ("message", "detail", "msg") if inner.get(key)), "")
            return words.lower(), text if isinstance(text, str) else _compact(text)
        return "", inner if isinstance(inner, str) else _compact(inner)
    return "", told if isinstance(told, str) else ""


def _status(told: Any) -> int | None:
    """The HTTP status that an error object names as its code, as some gateways do."""
    inner = told.get("error") if isinstance(told, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code[:4])
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _numbers(told: Any, text: str) -> tuple[int | None, int | None]:
    """The tokens of a request that is too long, and the window, as far as the server names them."""
    inner = told.get("error", told) if isinstance(told, dict) else None
    if isinstance(inner, dict) and "n_prompt_tokens" in inner:
        return as_count(inner["n_prompt_tokens"]), as_count(inner.get("n_ctx"))
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text[: 4 * _QUOTED])
    found = next((found for pattern in _NUMBERS if (found := pattern.search(text))), None)
    if found is None:
        return None, None
    said = {name: int(number) for name, number in found.groupdict().items() if number and len(number) <= _DIGITS}
    counted = said["all"] - said["answer"] if {"all", "answer"} <= said.keys() else said.get("counted")
    return as_count(counted), said.get("window")


def _compact(value: Any) -> str:
    return orjson.dumps(value).decode("utf-8", "replace")


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How long the server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110, §10.2.3)."""
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
