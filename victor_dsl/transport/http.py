"""An HTTP client for one URL that speaks JSON: posts and event streams, with every failure as a ModelError."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self, TypeVar
from weakref import WeakSet

import aiohttp
import orjson
from attrs import evolve
from yarl import URL

from victor_dsl.errors import ModelError
from victor_dsl.transport.deadlines import Deadlines
from victor_dsl.transport.failures import Failures, TimeLimits
from victor_dsl.transport.json_values import join_surrogates, parse_json
from victor_dsl.transport.refusals import find_error
from victor_dsl.transport.silence import Silence, StreamReader
from victor_dsl.transport.sse import Decoder, ErrorData

T = TypeVar("T")

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""The most bytes of one answer, decompressed. A longer one is refused before it fills the memory."""

MAX_ANSWER_PARTS = 250_000
"""The most objects and lists of one answer. Small ones cost far more time and memory than their bytes: 30 MB of them 300 MB."""

MAX_ERROR_BYTES = 64 * 1024
"""How much of an error's body is read."""

MAX_START_BYTES = 64 * 1024
"""How much of a stream without events is read as a whole answer or an error."""

DRAIN_SECONDS = 0.25
"""How long to wait for the end of a finished stream, so that its connection can be reused."""

IDLE_CLOSE_SECONDS = 1.0
"""Until when a broken connection counts as closed before the request arrived."""

_CONNECTION_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


class ServerConfig(TimeLimits, Protocol):
    """The part of a component's Config that the client reads."""

    @property
    def api_key(self) -> object | None:
        """A reference to the secret key."""
        ...

    @property
    def api_key_header(self) -> str:
        """The header that carries the key."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """More headers for every request."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """The query of every request's address."""
        ...

    @property
    def proxy(self) -> str | None:
        """The URL of an HTTP proxy."""
        ...


_REUSED: ContextVar[bool] = ContextVar("reused", default=False)
"""Whether the current task's last request was written to a connection that had been used before."""


class _Connector(aiohttp.TCPConnector):
    """The pool of connections. It has no limit: the spec limits how many turns run at once."""

    def __init__(self) -> None:
        super().__init__(limit=0)
        self._used: WeakSet[object] = WeakSet()

    async def connect(self, *arguments: Any, **named: Any) -> Any:
        """A free connection, or a new one."""
        _REUSED.set(False)
        connection = await super().connect(*arguments, **named)
        protocol = connection.protocol
        _REUSED.set(protocol in self._used)
        self._used.add(protocol)
        return connection


class Http:
    """A pool of connections to one URL. Entering it reads the API key, which no message and no repr contains.

    `secret` gives the text of the Config's `api_key`, or raises SecretError.
    """

    def __init__(
        self,
        config: ServerConfig,
        url: str,
        *,
        node: str,
        now: Callable[[], float],
        secret: Callable[[Any], str],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._config = config
        self._node = node
        self._url = URL(url).with_query(config.query) if config.query else URL(url)
        self._secret = secret
        self._headers = {"Content-Type": "application/json", "User-Agent": "victor_dsl", **headers, **config.headers}
        self._session: aiohttp.ClientSession | None = None
        connect, total = config.connect_timeout_seconds, config.timeout_seconds
        self._post_timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        self._deadlines = Deadlines(total)
        self._stream_timeout = aiohttp.ClientTimeout(total=total, sock_connect=connect)
        self.failures = Failures(node, self._url.host_port_subcomponent or url, config, now)

    async def __aenter__(self) -> Self:
        headers, reference = dict(self._headers), self._config.api_key
        if reference is not None:
            key, header = self._secret(reference).strip(), self._config.api_key_header
            if not key or not key.isascii() or not key.isprintable():
                fault = "contains characters that are not allowed in a header" if key else "is empty"
                raise ModelError(f"the API key {reference} {fault}", kind="authentication", node=self._node)
            self.failures = evolve(self.failures, secrets=(key,))
            headers[header] = f"Bearer {key}" if header == "Authorization" else key
        self._session = aiohttp.ClientSession(
            connector=_Connector(), headers=headers, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers one post. Raises ModelError."""
        begun = False
        try:
            with self._deadlines.limit():
                response = await self._send(body, self._post_timeout)
                begun = True
                try:
                    await self._check_status(response)
                    return self._object(await self._read(response))
                finally:
                    _close_unfinished(response)
        except _CONNECTION_FAILURES as error:
            failure = self._connection_failure(error, begun=begun)
        raise failure

    async def stream(self, body: Mapping[str, Any], reader: StreamReader) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of an event stream, until `[DONE]`, the end of the bytes, or until the reader is finished.

        A server that does not stream sends its one whole answer instead. Once the answer is complete, nothing that happens to
        the connection is an error. Closing the iterator closes the connection. Raises ModelError.
        """
        begun = False
        silence = Silence(reader)
        try:
            response = await silence.limit(self._send(body, self._stream_timeout))
            begun = True
            try:
                await self._check_status(response)
                if response.content_type == "application/json":
                    yield self._object(await self._read(response, silence))
                    return
                if response.content_type == "text/html":
                    raise self.failures.bad_response("an HTML page instead of a stream")
                start = bytearray()
                has_events = False
                async with aclosing(self._events(response, start, silence)) as events:
                    async for data in events:
                        named = isinstance(data, ErrorData)
                        if data.strip().upper() == b"[DONE]":
                            reader.end()
                            break
                        if not data.lstrip().startswith((b"{", b"[")) and not named:
                            continue  # some servers send `data: ping`, or empty data, to keep a connection open
                        has_events = True
                        event = self._event(data, reader, is_error=named)
                        if event is None:
                            break
                        has_output = reader.note(event)
                        yield event
                        if reader.finished:
                            break
                        if has_output:
                            silence.end()
                if not has_events:
                    yield self._whole_answer(bytes(start))
                await _drain(response)
                return
            finally:
                _close_unfinished(response)
        except _CONNECTION_FAILURES as error:
            if reader.complete:
                return
            failure = self._connection_failure(error, begun=begun)
        raise failure

    async def _send(self, body: Mapping[str, Any], timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError(f"{self._node} is not open")
        data, proxy, now = encode(body), self._config.proxy, asyncio.get_running_loop().time
        while True:
            started = now()
            try:
                return await self._session.post(
                    self._url, data=data, timeout=timeout, allow_redirects=False, proxy=proxy
                )
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # A server may close an idle connection just as a request is written to it. The next attempt has another
                # connection, and the last of them a new one. One that breaks later broke under this request.
                if not _REUSED.get() or now() - started > IDLE_CLOSE_SECONDS:
                    raise

    async def _check_status(self, response: aiohttp.ClientResponse) -> None:
        if not 200 <= response.status < 300:
            raise self.failures.of_status(response.status, response.headers, await _error_body(response))

    async def _events(
        self, response: aiohttp.ClientResponse, start: bytearray, silence: Silence
    ) -> AsyncGenerator[bytes, None]:
        """The data of its events. The first bytes are also added to `start`."""
        decoder, size = Decoder(), 0
        while chunk := await silence.limit(response.content.readany()):
            if size < MAX_START_BYTES:
                start += chunk[: MAX_START_BYTES - size]
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise self._too_long()
            for data in decoder.feed(chunk):
                for event in self._split(data):
                    yield event
        for data in decoder.finish():
            for event in self._split(data):
                yield event

    async def _read(self, response: aiohttp.ClientResponse, silence: Silence | None = None) -> bytes:
        content = response.content
        chunk = await (content.readany() if silence is None else silence.limit(content.readany()))
        if content.at_eof() and len(chunk) <= MAX_ANSWER_BYTES:
            return chunk  # most answers arrive in one chunk
        body = bytearray(chunk)
        while len(body) <= MAX_ANSWER_BYTES:
            if silence is None:
                chunk = await content.readany()
            else:
                if chunk.strip():  # blank lines keep a connection open
                    silence.end()
                chunk = await silence.limit(content.readany())
            if not chunk:
                return bytes(body)
            body += chunk
        raise self._too_long()

    def _event(self, data: bytes, reader: StreamReader, *, is_error: bool) -> dict[str, Any] | None:
        """The event; None where it is none, but comes after the answer is complete."""
        try:
            return self._object(data, is_error=is_error)
        except ModelError:
            if reader.complete:
                return None
            raise

    def _parse(self, data: bytes) -> Any:
        """The JSON value; None where it is not JSON. Raises ModelError where it has too many parts to read it at once."""
        if data.count(b"{") + data.count(b"[") > MAX_ANSWER_PARTS:
            raise self.failures.bad_response(f"it has more than {MAX_ANSWER_PARTS:,} objects and lists")
        return parse_json(data)

    def _split(self, data: bytes) -> list[bytes]:
        """The events in the data of one: some servers send no empty line between events."""
        if b"\n" not in data or self._parse(data) is not None or isinstance(data, ErrorData):
            return [data]
        return data.split(b"\n")

    def _object(self, data: bytes, *, is_error: bool = False) -> dict[str, Any]:
        value = self._parse(data)
        error = find_error(value, named=is_error)
        if error is None and is_error:
            error = data.decode("utf-8", "replace")
        if error is not None:
            raise self.failures.of_error_object(error)
        if not isinstance(value, dict):
            start = self.failures.quote(data[:4096].decode("utf-8", "replace"))
            raise self.failures.bad_response(f"not a JSON object: {start}" if start else "an empty body")
        return value

    def _whole_answer(self, start: bytes) -> dict[str, Any]:
        """The object that is all of a stream without events. Raises ModelError where it is an error or anything else."""
        value = parse_json(start)
        error = find_error(value)
        if error is not None:
            raise self.failures.of_error_object(error)
        if isinstance(value, dict):
            return value
        quoted = self.failures.quote(start.decode("utf-8", "replace"))
        raise self.failures.bad_response(f"a stream without events: {quoted}" if quoted else "an empty stream")

    def _too_long(self) -> ModelError:
        return self.failures.bad_response(f"it is longer than {MAX_ANSWER_BYTES // 1024 // 1024} MiB")

    def _connection_failure(self, error: Exception, *, begun: bool) -> ModelError:
        failure = self.failures.of_exception(error, begun=begun)
        # A ClientResponseError has the request's headers, and so the key: it must not be chained.
        failure.__cause__ = None if isinstance(error, aiohttp.ClientResponseError) else error
        return failure


def encode(body: Mapping[str, Any]) -> bytes:
    """The body as JSON. It may contain JSON that was written before, as `orjson.Fragment`."""
    try:
        return orjson.dumps(body, default=_plain)
    except orjson.JSONEncodeError:
        # orjson refuses huge numbers, which a server may accept, and halves of surrogate pairs, which servers refuse.
        return join_surrogates(json.dumps(body, default=_plain, separators=(",", ":"), ensure_ascii=False)).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, orjson.Fragment):
        return json.loads(orjson.dumps(value))
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """The start of an error's body, as far as it can be read."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ERROR_BYTES:
                break
    except (aiohttp.ClientError, TimeoutError):
        pass  # the status is enough
    return bytes(body[:MAX_ERROR_BYTES])


async def _drain(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in response.content.iter_any():
                pass
    except (aiohttp.ClientError, TimeoutError):
        return  # the answer is complete; only its connection is lost


def _close_unfinished(response: aiohttp.ClientResponse) -> None:
    """Closes the connection unless the response was read to its end, where aiohttp has released it for the next request."""
    if not response.content.at_eof():
        response.close()
