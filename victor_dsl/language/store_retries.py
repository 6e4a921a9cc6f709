"""Tries a store again while it is unreachable, busy or full, within a time limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from victor_dsl.errors import StoreError
from victor_dsl.language.component import Clock

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0


async def with_retries(
    work: Callable[[], Awaitable[T]],
    clock: Clock,
    random: Random,
    *,
    seconds: float,
    failed: Callable[[StoreError], object] = lambda _: None,
) -> T:
    """The result of `work`, which is done again after each transient StoreError; no try begins later than that many seconds
    after the first error. `failed` is called with each error that is followed by another try.

    `work` must have the same effect however often it is done: a try that failed may have been stored.
    """
    last, attempt = 0.0, 0
    while True:
        try:
            return await work()
        except StoreError as error:
            if not error.transient:
                raise
            now = clock.monotonic()
            if attempt == 0:
                last = now + seconds
            if now >= last:
                raise
            failed(error)
            attempt += 1
            pause = pause_seconds(attempt, random, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            await clock.sleep(min(pause, last - now))


def pause_seconds(attempt: int, random: Random, first: float, longest: float) -> float:
    """How long to wait after so many failed tries: full jitter (Brooker 2015, "Exponential Backoff and Jitter")."""
    return first / 2 + random.random() * min(longest, first * 2.0 ** min(attempt - 1, 20))
