"""An MCP server over streamable HTTP, with a limit on the size of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http.client import responses
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp_types import INTERNAL_ERROR, METHOD_NOT_FOUND, JSONRPCError, jsonrpc_message_adapter

from victor_dsl.components.tools.mcp.process import MOST_MESSAGE_BYTES

SILENCE_SECONDS = 3600.0
"""How long a stream may be silent; each call has a time limit of its own."""


OLD_SSE = (
    "(this looks like an endpoint of the old HTTP+SSE transport, which is not supported; "
    "use the server's streamable HTTP endpoint, often /mcp instead of /sse)"
)
MEANINGS = {
    401: "Unauthorized: the server wants credentials; set `bearer_token` or `secret_headers` (there is no OAuth login)",
    403: "Forbidden: the credentials in `bearer_token` or `secret_headers` may not use this server",
    404: "Not Found: there is no MCP endpoint at this address; check the path of `url`, which is often /mcp",
    405: "Method Not Allowed: the address takes no MCP messages; an old SSE endpoint is not supported: use the server's "
    "streamable HTTP endpoint, often /mcp",
}
"""What a status means for who wrote the spec."""


@asynccontextmanager
async def http_server(url: str, headers: Mapping[str, str], connect_seconds: float) -> AsyncIterator[Any]:
    """The streams of a connection, open while it is entered. Proxies and other settings of the environment are not used."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx2.AsyncClient(
                # Uncompressed, so that the bytes that are counted below are those of the answer.
                headers={**headers, "Accept-Encoding": "identity"},
                timeout=httpx2.Timeout(connect_seconds, read=SILENCE_SECONDS),
                transport=_Bounded(),
                trust_env=False,
            )
        )
        transport = streamable_http_client(url, http_client=client, max_sse_event_size=MOST_MESSAGE_BYTES)
        yield await stack.enter_async_context(transport)


class _Bounded(httpx2.AsyncHTTPTransport):
    """Limits whole answers; of a stream of events the SDK limits each event."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.status_code >= 400 and request.method == "POST":
            return await _explained(request, response)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
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
    # The code of "no such method" lets the SDK try an older version of the protocol, as it does by itself at this status.
    error = {"code": METHOD_NOT_FOUND if status == 404 else INTERNAL_ERROR, "message": message}
    return httpx2.Response(status, json={"jsonrpc": "2.0", "id": None, "error": error}, request=request)


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
