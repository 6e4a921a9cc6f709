"""Work that takes too long for the event loop, in threads that do not pile up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from victor_dsl.errors import ComponentError

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 2
"""How many threads one component has at most, of the process's: work that is late leaves some to others."""


class OffLoop:
    """Runs one component's work in threads.

    A thread cannot be cancelled: where a deadline or a cancelled turn gives one up, it goes on to its end. Until then no
    other work begins, so that late work never piles up.
    """

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(THREADS)
        self._late: set[threading.Event] = set()

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What the function gives. Raises ComponentError while work that was given up still runs."""
        async with self._free:
            self._late = {ended for ended in self._late if not ended.is_set()}
            if self._late:
                raise ComponentError("the work for an earlier turn, which was late, has not ended yet")
            turnstile, ended = threading.Lock(), threading.Event()  # the first to pass decides whether it begins

            def work() -> T | None:
                if not turnstile.acquire(blocking=False):
                    return None  # nobody waits any more
                try:
                    return function(*arguments, **named)
                finally:
                    ended.set()

            try:
                return cast("T", await asyncio.to_thread(work))
            finally:
                if not turnstile.acquire(blocking=False) and not ended.is_set():
                    self._late.add(ended)
