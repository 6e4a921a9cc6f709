"""Work that takes too long for the event loop, in threads that do not pile up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from victor_dsl.errors import ComponentError

P = ParamSpec("P")
T = TypeVar("T")


class OffLoop:
    """Runs one component's work in threads.

    A thread cannot be cancelled: where a deadline or a cancelled turn gives one up, it goes on to its end. Until then no
    other begins, so that there are never more than were running when the first was given up.
    """

    def __init__(self) -> None:
        self._late: set[threading.Event] = set()

    async def run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """What the function gives. Raises ComponentError while work that was given up still runs."""
        self._late = {ended for ended in self._late if not ended.is_set()}
        if self._late:
            raise ComponentError("the work for an earlier turn, which was late, has not ended yet")
        turnstile, ended = threading.Lock(), threading.Event()  # the one who passes first decides whether it begins

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
