"""One HTTP server that speaks JSON: posts and event streams, bounded, with every failure told as a ModelError."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from types import MappingProxyType, TracebackType
from typing import Any, Self

import aiohttp
import orjson
from attrs import evolve
from yarl import URL

from victor_dsl.errors import ModelError
from victor_dsl.transport.failures import Failures
from victor_dsl.transport.server_config import ServerConfig, is_header_text
from victor_dsl.transport.sse import Decoder

LIMIT_BYTES = 32 * 1024 * 1024
"""The most bytes of one answer, unpacked; a longer one is refused before it fills the memory."""

ERROR_BYTES = 64 * 1024
"""How much of an error's body is read."""

DRAIN_SECONDS = 0.25
"""How long the end of a finished stream is waited for, so that its connection can be used again."""

_CONNECTION_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


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
        self._url = URL(url)
        self._secret = secret
        self._headers = {"Content-Type": "application/json", "User-Agent": "victor_dsl", **headers, **config.headers}
        self._session: aiohttp.ClientSession | None = None
        connect, total = config.connect_timeout_seconds, config.timeout_seconds
        silence = config.chunk_timeout_seconds
        self._whole = aiohttp.ClientTimeout(total=total, sock_connect=connect)
        self._streamed = aiohttp.ClientTimeout(total=total, sock_connect=connect, sock_read=silence)
        self.failures = Failures(node, self._url.host_port_subcomponent or url, config, now)

    async def __aenter__(self) -> Self:
        headers, reference = dict(self._headers), self._config.api_key
        if reference is not None:
            key, header = self._secret(reference).strip(), self._config.api_key_header
            if not key or not is_header_text(key):
                wrong = "contains characters that are not allowed in a header" if key else "is empty"
                raise ModelError(f"the API key {reference} {wrong}", kind="authentication", node=self._node)
            self.failures = evolve(self.failures, secrets=(key,))
            headers[header] = f"Bearer {key}" if header == "Authorization" else key
        # No limit on connections: the spec limits how many turns run at once, not this pool.
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers one post. Raises ModelError."""
        begun = False
        try:
            async with self._send(body, self._whole) as response:
                begun = True
                return self._object(await self._read(response))
        except _CONNECTION_FAILURES as error:
            failure = self._told(error, begun=begun)
        raise failure

    async def stream(
        self, body: Mapping[str, Any], finished: Callable[[], bool]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of a stream of events, until `[DONE]`, one that `ends` it, or the end of the bytes.

        A server that does not stream gives its one whole answer. Closing the iterator closes the connection.
        Raises ModelError.
        """
        begun = False
        try:
            async with self._send(body, self._streamed) as response:
                begun = True
                if response.content_type == "application/json":
                    yield self._object(await self._read(response))
                    return
                if response.content_type == "text/html":
                    raise self.failures.bad_response("a page of HTML instead of a stream")
                async with aclosing(self._events(response)) as events:
                    async for data in events:
                        if data == b"[DONE]":
                            break
                        event = self._object(data)
                        yield event
                        if finished():
                            break
                await _drain(response)
                return
        except _CONNECTION_FAILURES as error:
            failure = self._told(error, begun=begun)
        raise failure

    @asynccontextmanager
    async def _send(
        self, body: Mapping[str, Any], timeout: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a post, where it is a good one; its connection is closed unless it was read to the end."""
        if self._session is None:
            raise RuntimeError(f"{self._node} is not open")
        async with self._session.post(
            self._url, data=encode(body), timeout=timeout, allow_redirects=False, proxy=self._config.proxy
        ) as response:
            try:
                if not 200 <= response.status < 300:
                    raise self.failures.of_status(response.status, response.headers, await _head(response))
                yield response
            finally:
                if not response.content.at_eof():
                    response.close()

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        decoder, size = Decoder(), 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > LIMIT_BYTES:
                raise self._too_long()
            for data in decoder.feed(chunk):
                yield data
        for data in decoder.finish():
            yield data

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > LIMIT_BYTES:
                raise self._too_long()
        return bytes(body)

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            shown = self.failures.quote(data[:4096].decode("utf-8", "replace"))
            raise self.failures.bad_response(f"not a JSON object: {shown}" if shown else "an empty body")
        if value.get("error"):
            raise self.failures.of_object(value)
        return value

    def _too_long(self) -> ModelError:
        return self.failures.bad_response(f"it is longer than {LIMIT_BYTES // 1024 // 1024} MiB")

    def _told(self, error: Exception, *, begun: bool) -> ModelError:
        failure = self.failures.of_exception(error, begun=begun)
        # aiohttp keeps the request's headers, and so the key, on this one kind of error: it may not be chained.
        failure.__cause__ = None if isinstance(error, aiohttp.ClientResponseError) else error
        return failure


def encode(body: Mapping[str, Any]) -> bytes:
    """The body as JSON."""
    try:
        return orjson.dumps(body, default=_plain)
    except orjson.JSONEncodeError:
        # Half a surrogate pair or a huge number: the standard library writes both, and the server is the judge.
        return json.dumps(body, default=_plain, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


async def _head(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of an error's body, as far as it can be read."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > ERROR_BYTES:
                break
    except (aiohttp.ClientError, TimeoutError):
        pass  # the status has said enough
    return bytes(body[:ERROR_BYTES])


async def _drain(response: aiohttp.ClientResponse) -> None:
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in response.content.iter_any():
                pass
    except (aiohttp.ClientError, TimeoutError):
        return  # the answer is whole; only its connection is lost
