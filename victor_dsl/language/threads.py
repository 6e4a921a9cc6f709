"""Blocking calls, each in a thread of its own."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any


class Threads:
    """Runs at most `most` blocking calls at once; further ones wait.

    The threads are daemons: a call that hangs holds up neither the process's end nor, as in a pool, other work.
    """

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)
        self._ended: set[threading.Thread] = set()

    async def run(self, work: Callable[[], Any]) -> Any:
        """What `work` gives, run in this context; work that is cancelled goes on, but nobody hears of it."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            self._free.release()
            self._ended = {*filter(threading.Thread.is_alive, self._ended), thread}
            if outcome.done():  # the caller is gone
                return
            if error is None:
                outcome.set_result(result)
            else:
                outcome.set_exception(RuntimeError("StopIteration") if isinstance(error, StopIteration) else error)

        def run() -> None:
            result, error = None, None
            try:
                result = work()
            except BaseException as raised:  # noqa: BLE001 - it is raised again where it is awaited
                error = raised
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                return  # the loop has ended; nobody is left to tell

        thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), name="function", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            self._free.release()
            raise
        result = await outcome
        return await result if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Waits for threads whose work has ended: no longer than it takes a thread to end."""
        for thread in self._ended:
            thread.join()
