"""An MCP server as a process: messages over its pipes, its standard error to the log, and no process left behind."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from victor_dsl.components.tools.mcp import supervisor
from victor_dsl.components.tools.mcp.launch import CHUNK_BYTES, GRACE_SECONDS, Launch, Started, stop
from victor_dsl.components.tools.mcp.messages import END_BYTES, MOST_MESSAGE_BYTES, TooLong, as_bytes, read
from victor_dsl.storage.ending import to_the_end

Received = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]

SHOWN_CHARACTERS = 200


class Lines:
    """Joins chunks of bytes to lines. Of a line over the limit only the two ends are stored."""

    def __init__(self, most_bytes: int = MOST_MESSAGE_BYTES) -> None:
        self._most = most_bytes
        self._chunks: list[bytes] = []
        self._size = 0
        self._first: bytes | None = None  # of a line that is over the limit already

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        """The lines that the chunk completes, without their line ends."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._add(piece)
            yield self._line()
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._chunks.append(piece)
        self._size += len(piece)
        if self._size > self._most:
            whole = b"".join(self._chunks)
            if self._first is None:
                self._first = whole[:END_BYTES]
            self._chunks = [whole[-END_BYTES:]]
            self._size = self._most  # so that any further byte leads here again

    def _line(self) -> bytes | TooLong:
        whole, first = b"".join(self._chunks), self._first
        self._chunks, self._size, self._first = [], 0, None
        return whole if first is None else TooLong(first, whole[-END_BYTES:])


@asynccontextmanager
async def server_process(
    launch: Launch,
    *,
    on_end: Callable[[str], None],
    on_stderr: Callable[[str], None],
    on_stray_line: Callable[[str], None],
) -> AsyncIterator[Streams]:
    """Runs a server while it is entered, in a process group of its own. All that it started is killed at the end, on Linux also where
    it left the group or where this process was killed.

    `on_end` is called once with the reason if the server ends by itself, `on_stderr` with each line of its standard error,
    and `on_stray_line` with each line of its standard output that is not a message. Raises OSError where it cannot be started.
    """
    process = await launch.start()
    try:
        incoming, received = anyio.create_memory_object_stream[Received](0)
        sent, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        async with incoming, received, sent, outgoing, anyio.create_task_group() as group:
            group.start_soon(_read, process, incoming, on_end, on_stray_line)
            group.start_soon(_write, process.process, outgoing)
            group.start_soon(_read_errors, process.process, on_stderr)
            try:
                yield received, sent
            finally:
                group.cancel_scope.cancel()
    finally:
        await to_the_end(stop(process))


async def _read(
    started: Started,
    incoming: MemoryObjectSendStream[Received],
    on_end: Callable[[str], None],
    on_stray_line: Callable[[str], None],
) -> None:
    process = started.process
    assert process.stdout is not None
    lines, messages = Lines(), Messages()
    async with incoming:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while chunk := await process.stdout.read(CHUNK_BYTES):
                for found in (found for line in lines.feed(chunk) for found in messages.feed(line)):
                    if isinstance(found, SessionMessage):
                        await incoming.send(found)
                    elif isinstance(found, TooLong):
                        on_stray_line(f"a line of more than {MOST_MESSAGE_BYTES:,} bytes")
                    elif found.strip():
                        on_stray_line(found[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")[:SHOWN_CHARACTERS])
        started.tell(supervisor.CLOSING)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()  # its output is closed: it has most likely ended, too, and has an exit code
        on_end(_reason(process.returncode))


def _message(line: bytes | TooLong) -> SessionMessage | None:
    message = read(line)
    return None if message is None else SessionMessage(message)


class Messages:
    """The messages in a server's lines, among them those that the server prints over several lines."""

    def __init__(self) -> None:
        self._open: list[bytes] = []  # the lines of a message that is not complete yet
        self._size = 0

    def feed(self, line: bytes | TooLong) -> Iterator[SessionMessage | bytes | TooLong]:
        """Messages, and the lines that belong to none."""
        if (message := _message(line)) is not None:
            yield from self._given_up()
            yield message
        elif isinstance(line, TooLong) or not (self._open or line.lstrip().startswith(b"{")):
            yield line
        else:
            self._open.append(line)
            self._size += len(line)
            # Only a line without indentation can end a message: so each message is parsed once.
            complete = line.rstrip().endswith(b"}") and not line[:1].isspace()
            if complete and (message := _message(b"\n".join(self._open))) is not None:
                self._open.clear()
                self._size = 0
                yield message
            elif self._size > MOST_MESSAGE_BYTES:
                yield from self._given_up()

    def _given_up(self) -> Iterator[bytes]:
        lines, self._open, self._size = self._open, [], 0
        yield from lines


async def _write(process: Process, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    async with outgoing:
        with suppress(ConnectionError):  # the server has ended, as `_read` will notice
            async for message in outgoing:
                process.stdin.write(as_bytes(message.message) + b"\n")
                await process.stdin.drain()


async def _read_errors(process: Process, on_stderr: Callable[[str], None]) -> None:
    assert process.stderr is not None
    lines = Lines(CHUNK_BYTES)
    while chunk := await process.stderr.read(CHUNK_BYTES):
        for line in lines.feed(chunk):
            text = line.first if isinstance(line, TooLong) else line
            if text.strip():
                on_stderr(text.decode("utf-8", "replace").rstrip())


def _reason(code: int | None) -> str:
    if code is None:
        return "closed its output"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
