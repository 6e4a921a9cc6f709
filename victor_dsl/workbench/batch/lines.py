"""Request lines, read lazily from a file of any length."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from queue import SimpleQueue
from typing import Any, BinaryIO

import orjson
from attrs import field, frozen

from victor_dsl.errors import RequestError

MAX_LINE_BYTES = 32 << 20
"""A request with a few images fits. A longer line becomes an error object, and is never in memory whole."""

CHUNK_BYTES = 1 << 18

LineId = str | int


class BadLine(RequestError):
    """The line cannot be read as a request."""

    code = "bad-line"


@frozen
class Line:
    """One line of the input. `number` counts from 1; `id` is the line's own, else its number.

    A line that cannot be read as a request has `error` and no `data`. `size` is its length in the file, in bytes; `attempts` is
    how often it was asked in this run.
    """

    number: int
    id: LineId
    data: Mapping[str, Any] = field(factory=dict, repr=False)
    error: RequestError | None = None
    size: int = 0
    attempts: int = 0

    @property
    def session(self) -> str | None:
        """The session that the line names, if any."""
        session = self.data.get("session")
        return session if isinstance(session, str) else None


async def read_lines(stream: BinaryIO) -> AsyncIterator[Line]:
    """All lines but blank ones, in order. Raises OSError if the stream cannot be read."""
    number, text, length = 0, bytearray(), 0
    async with contextlib.aclosing(chunks(stream)) as read:
        async for chunk in read:
            pieces = chunk.split(b"\n")
            for piece in pieces[:-1]:
                length += len(piece)
                if length <= MAX_LINE_BYTES:
                    text += piece
                number += 1
                if line := parse_line(bytes(text), number, length):
                    yield line
                text, length = bytearray(), 0
            length += len(pieces[-1])
            if length <= MAX_LINE_BYTES:
                text += pieces[-1]
    if length and (line := parse_line(bytes(text), number + 1, length)):
        yield line


def parse_line(text: bytes, number: int, size: int | None = None) -> Line | None:
    """The line of a text; None if it is blank. `size` is the length before any cut."""
    size = len(text) if size is None else size
    if size > MAX_LINE_BYTES:
        return _bad(number, f"longer than {MAX_LINE_BYTES >> 20} MiB ({size:,} bytes)", size)
    if number == 1:
        text = text.removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        return None
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _bad(number, f"not JSON: {error.msg} (column {error.colno})", size)
    if fault := _silent_fault(text):
        return _bad(number, fault, size)
    if not isinstance(data, dict):
        return _bad(number, "not a JSON object with 'message' or 'messages'", size)
    id = data.get("id")
    if id is None:
        return Line(number, number, data, size=size)
    if isinstance(id, bool) or not isinstance(id, str | int) or id == "":
        return _bad(number, "'id' is neither text nor a whole number", size)
    return Line(number, id, data, size=size)


def _silent_fault(text: bytes) -> str | None:
    """What a parser passes over in silence: a key that is written twice, and a number that loses digits."""
    try:
        json.loads(text.decode(), object_pairs_hook=_unique, parse_int=_exact)
    except RecursionError:
        return None
    except ValueError as error:
        return str(error)
    return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' is written twice")
    return values


def _exact(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise ValueError(
            f"the number {digits[:24]}{'…' if len(digits) > 24 else ''} has more than 64 bits; write it as text"
        )
    return int(digits)


def _bad(number: int, what: str, size: int) -> Line:
    return Line(number, number, error=BadLine(what), size=size)


async def chunks(stream: BinaryIO) -> AsyncGenerator[bytes, None]:
    """The stream's bytes as they come, read by a thread.

    The thread is a daemon, so that waiting for a terminal or a pipe does not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    requests: SimpleQueue[asyncio.Future[bytes] | None] = SimpleQueue()

    def settle(future: asyncio.Future[bytes], chunk: bytes, error: BaseException | None) -> None:
        if future.done():
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(chunk)

    def serve() -> None:
        read = getattr(stream, "read1", stream.read)
        while (future := requests.get()) is not None:
            chunk, error = b"", None
            try:
                chunk = read(CHUNK_BYTES)
            except (OSError, ValueError) as failure:
                error = failure
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it the reader
                loop.call_soon_threadsafe(settle, future, chunk, error)

    thread = threading.Thread(target=serve, name="request-lines", daemon=True)
    thread.start()
    future: asyncio.Future[bytes] = loop.create_future()
    try:
        requests.put(future)
        while chunk := await future:
            yield chunk
            future = loop.create_future()
            requests.put(future)
    finally:
        requests.put(None)
        if future.done() and not future.cancelled():  # else the thread may wait for its stream for ever
            thread.join()
