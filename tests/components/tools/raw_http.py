"""An MCP server over HTTP without an SDK, whose answers to calls are whatever bytes a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field

TOOL = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object"}}


@define
class Seen:
    """One request as the server received it."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """Its JSON, of a POST."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@define
class Sent:
    """An answer. `headers` replace those that are written by themselves."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(factory=lambda: {"Content-Type": "application/json"})


Answer = Callable[[Seen], Sent | None]


def result(id: Any, value: Any) -> Sent:
    """A whole answer that is right."""
    return Sent(json.dumps({"jsonrpc": "2.0", "id": id, "result": value}).encode())


def usual(seen: Seen) -> Sent:
    """What a server of 2025 answers to everything but calls."""
    id, method = seen.message.get("id"), seen.message.get("method")
    if id is None:
        return Sent(status=202)
    if method == "initialize":
        version = seen.message["params"]["protocolVersion"]
        return result(id, {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "raw", "version": "1"}})  # fmt: skip
    if method == "tools/list":
        return result(id, {"tools": [TOOL]})
    return Sent(json.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no method"}}).encode())


@asynccontextmanager
async def raw_server(answer: Answer) -> AsyncIterator[tuple[int, list[Seen]]]:
    """The server's port and what it received, while it runs. Where `answer` returns None, `usual` answers."""
    received: list[Seen] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        method, path, _ = first.split()
        seen = Seen(path, headers, await reader.readexactly(int(headers.get("content-length", 0))))
        received.append(seen)
        sent = answer(seen) or (usual(seen) if method == "POST" else Sent(status=405))
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.headers.items())
        length = f"Content-Length: {len(sent.body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {sent.status} X\r\n{head}{length}".encode() + sent.body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        yield server.sockets[0].getsockname()[1], received
