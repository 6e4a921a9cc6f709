"""Blocking calls of a component, run in threads so that the event loop goes on.

What belongs here: functions of users, and computations that grow with their input. Work of our own that is short and
always ends (reading a small file, importing a package) may use `asyncio.to_thread`: since calls that may hang run here,
the pool behind it never fills up with them.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from victor_dsl.errors import ComponentError
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

P = ParamSpec("P")
T = TypeVar("T")

THREAD_NAME = "off-loop"


class OffLoop:
    """Runs at most `threads` calls at once, each in a thread of its own; further calls wait for one to end.

    A thread cannot be stopped. A call whose caller was cancelled or timed out is *abandoned*: it runs on to its end, its
    result is dropped, and until then it counts as one of the `threads`. So late work never piles up; while all threads
    run abandoned calls, a new call fails at once instead of waiting for them.

    The threads are daemons: a call that hangs does not keep the process from ending. A thread ends with its call (to
    start one takes 0.1 to 0.2 ms), so there is nothing to close. Context variables are the caller's.
    """

    def __init__(self, threads: int = 2) -> None:
        self._threads = threads
        self._free = asyncio.Semaphore(threads)
        self._running: set[asyncio.Future[Any]] = set()

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The function's result. Raises what it raises, and ComponentError while all threads run abandoned calls."""
        if len(self._running) == self._threads and all(call.cancelled() for call in self._running):
            raise ComponentError("a previous call that timed out is still running")
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        call: asyncio.Future[T] = loop.create_future()  # cancelled when the caller, who awaits it, is cancelled

        def work() -> None:
            try:
                settle: Callable[[], object] = partial(call.set_result, function(*arguments, **named))
            except StopIteration:  # a future refuses it, since it would end the coroutine that awaits the future
                settle = partial(call.set_exception, RuntimeError("StopIteration"))
            except BaseException as error:  # noqa: BLE001 - raised again where the call is awaited
                settle = partial(call.set_exception, error)
            with suppress(RuntimeError):  # the event loop is closed: nobody waits for the result
                loop.call_soon_threadsafe(self._end, call, settle)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name=THREAD_NAME, daemon=True)
        self._running.add(call)
        try:
            thread.start()
        except RuntimeError as error:
            self._end(call, call.cancel)
            raise ComponentError(f"the system starts no further thread: {error}") from error
        return await call

    async def run_if(self, is_large: bool, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The function's result: from a thread where the work is large, else computed on the loop, which is faster."""
        if is_large:
            return await self.run(function, *arguments, **named)
        return function(*arguments, **named)

    def _end(self, call: asyncio.Future[Any], settle: Callable[[], object]) -> None:
        self._running.discard(call)
        self._free.release()
        if not call.done():
            settle()
