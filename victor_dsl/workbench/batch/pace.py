"""The pace of a batch: how many lines are worked on at a time, fewer while a provider refuses requests for their rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import define, field

MOST_ATTEMPTS = 6
"""How often a line is sent while a provider refuses it for its rate; after the last attempt its error is written."""

MOST_WAIT_S = 120.0
"""The longest pause. Where a provider asks for more, the error is written at once."""


def wait_after(output: Mapping[str, Any], attempts: int) -> float | None:
    """The seconds after which a line with this output is sent again; None if the output is final.

    They are what the provider asks for, else 1, 2, 4, 8, 16.
    """
    error = output.get("error")
    if not isinstance(error, Mapping) or attempts >= MOST_ATTEMPTS:
        return None
    code, wait = str(error.get("code")), error.get("retry_after_s")
    if code != "model-rate_limited" and not (code.startswith("model-") and wait is not None):
        return None
    seconds = float(2 ** (attempts - 1) if wait is None else wait)
    return seconds if seconds <= MOST_WAIT_S else None


@define(eq=False)
class Pace:
    """Slots for at most `most` lines at a time. Use it as a context manager, once for each attempt at a line.

    A refusal halves the number of slots and closes all of them for a while; each success opens a part of one again, so that
    a whole round without a refusal opens one. `wait` sleeps, and may return early when the run stops.
    """

    most: int
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    slots: float = field(init=False)
    _busy: int = 0
    _closed_until: float = field(init=False)
    _slowed: float = float("-inf")
    _changed: asyncio.Condition = field(init=False, factory=asyncio.Condition)

    def __attrs_post_init__(self) -> None:
        self.slots = self.most
        self._closed_until = self.now()

    async def __aenter__(self) -> float:
        """Waits for a slot; returns the time when the attempt began, which `slow_down` takes."""
        async with self._changed:
            while self._busy >= max(1, int(self.slots)):
                await self._changed.wait()
            self._busy += 1
        try:
            if (pause := self._closed_until - self.now()) > 0:
                await self.wait(pause)
        except BaseException:
            self._busy -= 1
            raise
        return self.now()

    async def __aexit__(self, *_: object) -> None:
        self._busy -= 1
        async with self._changed:
            self._changed.notify_all()

    def slow_down(self, seconds: float, began: float) -> bool:
        """Pauses all lines after the refusal of an attempt. Returns whether it is the first refusal since the last pause."""
        self._closed_until = max(self._closed_until, self.now() + seconds)
        if began <= self._slowed:
            return False  # it was sent before the pause, together with others that were refused
        self._slowed = self.now()
        self.slots = max(1.0, self.slots / 2)
        return True

    def succeed(self) -> None:
        """Opens a part of a slot."""
        self.slots = min(float(self.most), self.slots + 1 / self.slots)
