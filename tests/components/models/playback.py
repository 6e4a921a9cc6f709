"""A server on loopback that answers with the very bytes it is given, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from attrs import frozen

Piece = bytes | Literal["hang", "reset"]
Answer = Sequence[Piece]

END = b"0\r\n\r\n"


@frozen
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: Any


class Playback:
    """Plays its answers one after another, and the last one for ever.

    After an answer's last byte the connection stays open where the answer said how long it is. `hang` waits until the
    client hangs up, and `hung_up` says that it did; `reset` breaks the connection off.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.was_asked = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while (asked := await _read(reader)) is not None:
                if asked.body is None:  # a look at what the server is, which is not for this one to say
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    continue
                number = len(self.asked)
                self.asked.append(asked)
                self.was_asked.set()
                answer = self.answers[min(number, len(self.answers) - 1)]
                if not await self._play(answer, reader, writer):
                    break
        except ConnectionError:
            self.hung_up.set()
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _play(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        for piece in answer:
            if piece == "hang":
                await reader.read()
                self.hung_up.set()
                return False
            if piece == "reset":
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                return False
            assert isinstance(piece, bytes)
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        head = b"".join(piece for piece in answer if isinstance(piece, bytes)).partition(b"\r\n\r\n")[0]
        return b"Connection: close" not in head and bool(answer)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(first.split(" ")[1], headers, json.loads(body) if body else None)


def whole(
    body: bytes | Mapping[str, Any], status: str = "200 OK", type: str = "application/json", *headers: str
) -> list[Piece]:
    """An answer in one piece."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {type}", f"Content-Length: {len(data)}", *headers]
    return ["\r\n".join(lines).encode() + b"\r\n\r\n" + data]


def streamed(*pieces: bytes | Literal["hang", "reset", "end"], type: str = "text/event-stream") -> list[Piece]:
    """An answer in pieces, each of which is a chunk. `end` says that it is whole; without it the server hangs up."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {type}; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    if not pieces or pieces[-1] != "end":
        head += "Connection: close\r\n"
    played: list[Piece] = [head.encode() + b"\r\n"]
    for piece in pieces:
        if piece == "end":
            played.append(END)
        elif isinstance(piece, bytes):
            played += [b"%x\r\n%s\r\n" % (len(piece), piece)] if piece else []
        else:
            played.append(piece)
    return played


def events(*data: Any, names: bool = False) -> bytes:
    """Server-sent events; with `names`, each begins with the name that its data has as its type."""
    written = []
    for value in data:
        text = value if isinstance(value, str) else json.dumps(value)
        name = f"event: {value['type']}\n" if names else ""
        written.append(f"{name}data: {text}\n\n")
    return "".join(written).encode()
