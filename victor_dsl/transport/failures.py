"""Every failure of a server as a ModelError of one kind, without secrets."""

from __future__ import annotations

import math
import os
import ssl
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
import orjson
from attrs import field, frozen

from victor_dsl.errors import ModelError, ModelErrorKind, TimeLimit
from victor_dsl.transport.refusals import ServerError, read_error

_MAX_QUOTED = 300
_VERBS: Mapping[ModelErrorKind, str] = {
    "authentication": "refused the API key, its permissions or its credit",
    "model_not_found": "has no such model",
    "rate_limited": "accepts no more requests for now",
    "overloaded": "failed or is overloaded",
    "timeout": "timed out",
    "bad_request": "refused the request",
    "context_length": "reports that the request is longer than the context window",
    "bad_response": "returned an unusable answer",
    "content_filter": "refused the content",
    "circuit_open": "failed before",
}
_HINTS: Mapping[ModelErrorKind, str] = {
    "authentication": "check its `api_key`",
    "model_not_found": "check its `model`",
    "context_length": "lower `context_window`, so that compaction shortens the request in time",
}
_HINT_FOR_404 = "check its `base_url`: the API's own path, such as `/chat/completions`, is appended to it"


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


class TooSilent(TimeoutError):
    """A stream said nothing for longer than it may."""

    def __init__(self, limit: TimeLimit, seconds: float) -> None:
        super().__init__()
        self.limit = limit
        self.seconds = seconds


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
                return self._error("timeout", what, limit="connect")
            case TooSilent():
                what = "sent no token within" if error.limit == "first_token" else "sent nothing of its answer for"
                return self._error("timeout", f"{self.host} {what} {error.seconds:g} s", limit=error.limit)
            case TimeoutError():
                seconds = f"{self.limits.timeout_seconds:g} s"
                return self._error("timeout", f"no complete answer from {self.host} within {seconds}", limit="total")
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
        start = body[: 4 * _MAX_QUOTED].decode("utf-8", "replace")
        is_page = body.lstrip()[:1] == b"<"
        # A page's words are about anything; plain text is the message.
        read = read_error(None if is_page else start if error is None else error, "" if is_page else start)
        quoted = "an HTML page instead of JSON" if is_page else read.text or start
        kind = read.kind(status)
        hint = _HINT_FOR_404 if status in (404, 405) and kind == "bad_request" else None
        if kind == "authentication" and read.lacks_credit:
            hint = "check the account's credit"
        return self._reported(kind, read, quoted, status, _retry_after(headers, self.now()), hint=hint)

    def of_error_object(self, error: Any) -> ModelError:
        """An error object in an answer whose status was 2xx."""
        read = read_error(error)
        return self._reported(read.kind(None), read, read.text or read.body)

    def bad_response(self, what: str) -> ModelError:
        """An answer that cannot be used."""
        return self._error("bad_response", f"{self.host} returned an unusable answer: {self.quote(what)}")

    def interrupted(self, what: str) -> ModelError:
        """An answer that the server itself broke off."""
        return self._error("overloaded", f"{self.host} did not finish its answer: {self.quote(what)}")

    def nothing_written(self, max_tokens: int | None, used: int | None) -> ModelError:
        """An answer that reached its limit before its first word. The same request would do the same."""
        counted = "all tokens" if max_tokens is None else f"all {max_tokens} of max_tokens"
        if used is not None and used != max_tokens:
            counted = f"{used} tokens" if max_tokens is None else f"{used} tokens (max_tokens: {max_tokens})"
        what = f"used {counted} before it wrote anything, probably for its reasoning"
        return self._error("bad_request", what, hint="raise `settings.max_tokens`")

    def quote(self, text: str) -> str:
        """The start of what the server sent, on one line, and without the key if it echoes that."""
        for secret in self.secrets:
            text = text.replace(secret, "[secret]")
        text = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * _MAX_QUOTED]).split())
        return text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "…"

    def _reported(
        self,
        kind: ModelErrorKind,
        read: ServerError,
        text: str,
        status: int | None = None,
        retry_after_s: float | None = None,
        *,
        hint: str | None = None,
    ) -> ModelError:
        what = f"{self.host} {_VERBS[kind]}"
        what += f" (HTTP {status})" if status else ""
        quoted = self.quote(text)
        if retry_after_s is None and kind in ("rate_limited", "overloaded"):
            retry_after_s = read.wait_s()
        counted, window = read.token_counts() if kind == "context_length" else (None, None)
        return self._error(
            kind,
            f"{what}: {quoted}" if quoted else what,
            status=status,
            retry_after_s=retry_after_s,
            counted=counted,
            window=window,
            hint=hint,
        )

    def _error(self, kind: ModelErrorKind, message: str, *, hint: str | None = None, **more: Any) -> ModelError:
        return ModelError(message, kind=kind, node=self.node, hint=hint or _HINTS.get(kind), **more)


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
