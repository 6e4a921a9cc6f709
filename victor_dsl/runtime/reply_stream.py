"""A streamed reply: its pieces in a loop, then the whole reply. Who leaves the loop cancels the turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Self

from attrs import define, field

from victor_dsl.errors import UsageError
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Emit

MOST_WAITING = 64
"""How many pieces wait for a slow reader; then the model's next piece waits, too."""

Begin = Callable[[Emit], Awaitable[Reply]]


@define(eq=False)
class Pieces:
    """The pieces between a turn and its reader."""

    bounded: bool = True
    _waiting: deque[Delta] = field(factory=deque)
    _news: asyncio.Event = field(factory=asyncio.Event)
    _room: asyncio.Event = field(factory=asyncio.Event)
    _ended: bool = False

    async def put(self, delta: Delta) -> None:
        """Adds a piece, once there is room for it."""
        while self.bounded and len(self._waiting) >= MOST_WAITING:
            self._room.clear()
            await self._room.wait()
        self._waiting.append(delta)
        self._news.set()

    async def take(self) -> Delta | None:
        """The next piece; None after the last."""
        while not self._waiting:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        self._room.set()
        return self._waiting.popleft()

    def end(self) -> None:
        """Says that no piece follows."""
        self._ended = True
        self._news.set()

    def lift_bound(self) -> None:
        """Lets the turn end without a reader."""
        self.bounded = False
        self._room.set()


class ReplyStream:
    """The reply to a message, in pieces as the model writes them; `app.stream` returns it.

        stream = app.stream("Hello!")
        async for piece in stream:
            print(piece, end="", flush=True)
        print(stream.reply.usage.output_tokens, "tokens")

    An error of the turn is raised from the loop. Whoever leaves the loop early, or is cancelled in it, cancels the turn: the
    model's call ends, and the turn's event has the stop reason `cancelled`. `async with app.stream(…) as stream` also waits for
    that end. At most 64 pieces wait for a slow reader, and then the model waits.
    """

    def __init__(self, begin: Begin, running: dict[asyncio.Task[Reply], Pieces]) -> None:
        self._begin = begin
        self._running = running
        self._task: asyncio.Task[Reply] | None = None
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Delta]:
        """The pieces. Raises UsageError the second time, and after `aclose`."""
        if self._closed:
            raise UsageError("the stream is closed", hint="call `app.stream` again for another reply")
        if self._task is not None:
            raise UsageError("a stream can be read once", hint="call `app.stream` again for another reply")
        pieces = Pieces()
        self._task = asyncio.create_task(_begun(self._begin, pieces), name="streamed turn")
        self._running[self._task] = pieces
        self._task.add_done_callback(self._end)
        return _Reader(pieces, self._task)

    @property
    def reply(self) -> Reply:
        """The whole reply, after the loop; after an error, what is known of it. Raises UsageError before."""
        task = self._task
        if task is None or not task.done():
            hint = "read it in a loop first: `async for piece in stream`"
            raise UsageError("the reply is there when the stream has ended", hint=hint)
        if task.cancelled():
            raise UsageError("the stream was left before its end, so there is no reply")
        return task.result()

    async def aclose(self) -> None:
        """Cancels the turn if it still runs, and waits for its end. A loop of another task that still reads gets UsageError."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _end(self, task: asyncio.Task[Reply]) -> None:
        self._running.pop(task).end()
        if not task.cancelled():
            task.exception()  # the loop raises it; where the loop was left, asyncio would log it


class _Reader:
    """The iterator of one loop. Only the loop refers to it, so a loop that is left deletes it, which cancels the turn."""

    def __init__(self, pieces: Pieces, task: asyncio.Task[Reply]) -> None:
        self._pieces = pieces
        self._task = task

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        try:
            piece = await self._pieces.take()
        except BaseException:
            self._task.cancel()
            raise
        if piece is not None:
            return piece
        if self._task.cancelled():  # by `aclose`, or because another reader of this iterator was cancelled
            raise UsageError("the stream was closed before its end")
        reply = self._task.result()
        if reply.error is not None:
            raise reply.error
        raise StopAsyncIteration

    def __del__(self) -> None:
        loop = self._task.get_loop()
        if not self._task.done() and not loop.is_closed():
            loop.call_soon_threadsafe(self._task.cancel)  # the garbage collector may run in another thread


async def _begun(begin: Begin, pieces: Pieces) -> Reply:
    return await begin(pieces.put)
