"""An MCP server over streamable HTTP, with a limit on the size of its answers, and repairs where they break JSON."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import responses
from typing import Any

import httpx2
import orjson
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from victor_dsl.components.tools.mcp.messages import MOST_MESSAGE_BYTES, as_bytes, mended, read
from victor_dsl.components.tools.mcp.oauth import TokenSource
from victor_dsl.errors import ComponentError

SILENCE_SECONDS = 3600.0
"""How long a stream may be silent; each call has a time limit of its own."""


OLD_SSE = (
    "(this looks like an endpoint of the old HTTP+SSE transport, which is not supported; "
    "use the server's streamable HTTP endpoint, often /mcp instead of /sse)"
)
MEANINGS = {
    401: "Unauthorized: the server wants credentials; set `bearer_token`, `auth` or `secret_headers` (there is no login by a browser)",
    403: "Forbidden: the credentials in `bearer_token`, `auth` or `secret_headers` may not use this server",
    404: "Not Found: there is no MCP endpoint at this address; check the path of `url`, which is often /mcp",
    405: "Method Not Allowed: the address takes no MCP messages; an old SSE endpoint is not supported: use the server's "
    "streamable HTTP endpoint, often /mcp",
}
"""What a status means for who wrote the spec."""

NO_MESSAGE = "the answer is not an MCP message; check the path of `url`, which is often /mcp"

TOKEN_SECONDS = 30.0
"""The time limit of each step of a request for a token."""

MOST_HEADER, MOST_SHOWN = 4000, 200

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_SHOWN = ("error", "error_description", "scope", "resource_metadata")
_JSON = ("Content-Type", "application/json")
_OF_BODY = frozenset({"content-type", "content-length", "transfer-encoding"})


@asynccontextmanager
async def http_server(
    url: str, headers: Mapping[str, str], connect_seconds: float, tokens: TokenSource | None = None
) -> AsyncIterator[Any]:
    """The streams of a connection, open while it is entered. Proxies and other settings of the environment are not used."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx2.AsyncClient(
                # Uncompressed, so that the bytes that are counted below are those of the answer.
                headers={**headers, "Accept-Encoding": "identity"},
                timeout=httpx2.Timeout(connect_seconds, read=SILENCE_SECONDS),
                transport=_Bounded(tokens),
                trust_env=False,
            )
        )
        transport = streamable_http_client(url, http_client=client, max_sse_event_size=MOST_MESSAGE_BYTES)
        yield await stack.enter_async_context(transport)


class _Bounded(httpx2.AsyncHTTPTransport):
    """Limits whole answers; of a stream of events the SDK limits each event."""

    def __init__(self, tokens: TokenSource | None) -> None:
        super().__init__(trust_env=False)
        self._tokens = tokens

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._authorized(request)
        except ComponentError as error:
            failure = as_bytes(_error(INTERNAL_ERROR, error.message))
            return httpx2.Response(401, headers=[_JSON], content=failure, request=request)
        if response.status_code >= 400 and request.method == "POST":
            return await _explained(request, response)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _MendedEvents(response.stream, _id(request))
        else:
            response.stream = _BoundedStream(response.stream)
            if request.method == "POST" and response.status_code == 200:
                return await _mended(request, response)
        return response

    async def _authorized(self, request: httpx2.Request) -> httpx2.Response:
        """The answer to a request with a token, where tokens are needed; a refused one is replaced once."""
        if self._tokens is None:
            return await super().handle_async_request(request)
        token = await self._tokens.token(self._bounded)
        request.headers["Authorization"] = f"Bearer {token}"
        response = await super().handle_async_request(request)
        if response.status_code != 401:
            return response
        await response.aclose()
        token = await self._tokens.token(self._bounded, refused=token)
        request.headers["Authorization"] = f"Bearer {token}"
        return await super().handle_async_request(request)

    async def _bounded(self, request: httpx2.Request) -> httpx2.Response:
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), TOKEN_SECONDS)
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream)
        return response


async def _explained(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """A refusal with the server's own error, or with one that says what the status means here: the SDK drops the status."""
    status = response.status_code
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _BoundedStream(response.stream)
    body = await response.aread()
    if _is_error(body) or (
        status == 404 and "mcp-session-id" in request.headers
    ):  # without an error: the session has ended
        return httpx2.Response(status, headers=response.headers, content=body, request=request)
    is_old_sse = status in (404, 405) and request.url.path.rstrip("/").endswith("/sse")
    message = f"HTTP {status} {OLD_SSE if is_old_sse else MEANINGS.get(status, responses.get(status, ''))}".rstrip()
    message += _challenge(response.headers.get("www-authenticate", ""))
    # The code of "no such method" lets the SDK try an older version of the protocol, as it does by itself at this status.
    error = _error(METHOD_NOT_FOUND if status == 404 else INTERNAL_ERROR, message)
    return httpx2.Response(status, headers=[_JSON], content=as_bytes(error), request=request)


def _challenge(header: str) -> str:
    """What the server says about the credentials that it wants, of those parts that help whoever wrote the spec."""
    found = dict(_CHALLENGE.findall(header[:MOST_HEADER]))
    shown = [
        f"{name}: {found[name][:MOST_SHOWN]}" for name in _SHOWN if found.get(name, "").isprintable() and name in found
    ]
    return f" ({'; '.join(shown)})" if shown else ""


async def _mended(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """A whole answer as JSON: repaired, whatever the server calls its type, or an error that says what came instead."""
    type = response.headers.get("content-type", "no content type")
    message: JSONRPCMessage
    try:
        body = await response.aread()
    except httpx2.StreamError as error:
        body, message = b"", _error(INTERNAL_ERROR, str(error))
    else:
        message = read(body, _id(request)) or _error(INTERNAL_ERROR, f"HTTP 200 with {type[:80]}: {NO_MESSAGE}")
    if isinstance(message, JSONRPCError | JSONRPCResponse):
        message.id = _id(request)  # no other request can be meant
        body = as_bytes(message)
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_BODY]
    return httpx2.Response(200, headers=[*headers, _JSON], content=body, request=request)


def _id(request: httpx2.Request) -> Any:
    """The id of the JSON-RPC request in an HTTP request; None where there is none."""
    return orjson.loads(request.content).get("id") if request.method == "POST" else None


def _error(code: int, message: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=code, message=message))


def _is_error(body: bytes) -> bool:
    try:
        return isinstance(jsonrpc_message_adapter.validate_json(body, by_name=False), JSONRPCError)
    except ValueError:
        return False


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MOST_MESSAGE_BYTES:
                raise httpx2.StreamError(f"the answer is longer than {MOST_MESSAGE_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _MendedEvents(httpx2.AsyncByteStream):
    """Server-sent events whose messages are repaired."""

    def __init__(self, stream: httpx2.AsyncByteStream, request: int | str | None) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        begun = bytearray()  # a line without its end
        data: list[bytes] = []  # the lines of an event's data
        size = 0
        async for chunk in self._stream:
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                whole = bytes(begun + line)
                begun.clear()
                if whole.startswith(b"data:"):
                    data.append(whole)
                    size += len(whole)
                elif whole.strip(b"\r"):
                    yield whole + b"\n"
                else:
                    yield _mended_data(data, self._request) + b"\n"
                    data.clear()
                    size = 0
            begun += rest
            if size + len(begun) > MOST_MESSAGE_BYTES:  # the SDK refuses it
                yield b"\n".join([*data, bytes(begun)])
                data.clear()
                begun.clear()
                size = 0
        yield b"\n".join([*data, bytes(begun)])

    async def aclose(self) -> None:
        await self._stream.aclose()


def _mended_data(lines: list[bytes], request: int | str | None) -> bytes:
    """The lines of an event's data, or one line in their place where its message had to be repaired."""
    content = b"\n".join(line[len(b"data:") :].rstrip(b"\r") for line in lines)
    repaired = mended(content, request) if content.strip() else content
    if repaired is content:
        return b"".join(line + b"\n" for line in lines)
    return b"data:" + repaired + b"\n"
