"""An MCP server as a process of its own: messages over its pipes, its errors to the log, and no process left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from attrs import frozen
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, jsonrpc_message_adapter

from victor_dsl.components.tools._mcp_lines import MOST_LINE_BYTES, Lines, TooLong
from victor_dsl.storage.ending import to_the_end

Received = SessionMessage | Exception
Streams = tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]

GRACE_SECONDS = 2.0
"""How long a server may take to end when its input is closed, and then when it is told to."""

CHUNK_BYTES = 64 * 1024
SHOWN_CHARACTERS = 200


@frozen
class Launch:
    """How a server is started. Of this process's environment it sees only the few variables that every program needs."""

    command: Sequence[str]
    directory: str
    environment: Mapping[str, str]


@asynccontextmanager
async def server_process(
    launch: Launch, *, lost: Callable[[str], None], said: Callable[[str], None], junk: Callable[[str], None]
) -> AsyncIterator[Streams]:
    """Runs a server while it is entered, in a process group of its own, which is gone afterwards.

    `lost` hears once why the server ended by itself, `said` each line of its standard error, and `junk` what it prints
    to standard output that is no message. Raises OSError where it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *launch.command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=launch.directory,
        env={**get_default_environment(), **launch.environment},
        start_new_session=True,
    )
    try:
        incoming, received = anyio.create_memory_object_stream[Received](0)
        sent, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        async with incoming, received, sent, outgoing, anyio.create_task_group() as group:
            group.start_soon(_read, process, incoming, lost, junk)
            group.start_soon(_write, process, outgoing)
            group.start_soon(_listen, process, said)
            try:
                yield received, sent
            finally:
                group.cancel_scope.cancel()
    finally:
        await to_the_end(_stop(process))


async def _read(
    process: Process,
    incoming: MemoryObjectSendStream[Received],
    lost: Callable[[str], None],
    junk: Callable[[str], None],
) -> None:
    assert process.stdout is not None
    lines = Lines()
    async with incoming:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            while chunk := await process.stdout.read(CHUNK_BYTES):
                for line in lines.feed(chunk):
                    if (message := _message(line)) is not None:
                        await incoming.send(message)
                    elif not isinstance(line, bytes):
                        junk(f"a line of more than {MOST_LINE_BYTES:,} bytes")
                    elif line.strip():
                        junk(line[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")[:SHOWN_CHARACTERS])
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()  # it has closed its output: most have ended, too
        code = process.returncode
        lost("closed its output" if code is None else f"ended with exit code {code}" if code >= 0 else _killed(code))


def _message(line: bytes | TooLong) -> SessionMessage | None:
    """The message in a line; an error instead of an answer that is too long; None for what is no message."""
    if isinstance(line, TooLong):
        if line.answers is None:
            return None
        told = ErrorData(code=INTERNAL_ERROR, message=f"the answer is longer than {MOST_LINE_BYTES:,} bytes")
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=line.answers, error=told))
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


async def _write(process: Process, outgoing: MemoryObjectReceiveStream[SessionMessage]) -> None:
    assert process.stdin is not None
    async with outgoing:
        with suppress(ConnectionError):  # the server is gone, as its reader will see
            async for message in outgoing:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode("utf-8", "replace") + b"\n")
                await process.stdin.drain()


async def _listen(process: Process, said: Callable[[str], None]) -> None:
    assert process.stderr is not None
    lines = Lines(CHUNK_BYTES)
    while chunk := await process.stderr.read(CHUNK_BYTES):
        for line in lines.feed(chunk):
            text = line.first if isinstance(line, TooLong) else line
            if text.strip():
                said(text.decode("utf-8", "replace").rstrip())


async def _stop(process: Process) -> None:
    """Ends the server and all that it started: its input is closed, then it is told to end, then it is killed."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    if not await _ended(process):
        _signal(process, signal.SIGTERM)
        await _ended(process)
    _signal(process, signal.SIGKILL)  # also what the server leaves behind when it ends by itself
    await _ended(process)
    # A process that left the group may hold a pipe open for ever; its transport is closed all the same.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 -- asyncio offers no other way
    await asyncio.sleep(0)


async def _ended(process: Process) -> bool:
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            await asyncio.gather(process.wait(), _drained(process))
    except TimeoutError:
        return False
    return True


async def _drained(process: Process) -> None:
    """Reads what the server still prints: one that waits for a reader would not end."""
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        while await stream.read(CHUNK_BYTES):
            pass


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _killed(code: int) -> str:
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
