"""An MCP server over streamable HTTP, with a limit on the size of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from victor_dsl.components.tools.mcp.process import MOST_MESSAGE_BYTES

SILENCE_SECONDS = 3600.0
"""How long a stream may be silent; each call has a time limit of its own."""


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
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _BoundedStream(response.stream)
        return response


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
