"""Transient errors of stores are retried until the time is up, and no others."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import StillClock
from victor_dsl.errors import StoreError
from victor_dsl.language.store_retries import pause_seconds, with_retries

AWAY = StoreError("away", transient=True)


@define
class Store:
    """Fails so many times, each after some seconds, and then gives "done"."""

    clock: StillClock
    failures: int
    error: StoreError = AWAY
    seconds: float = 0.0
    calls: int = 0
    seen: list[StoreError] = field(factory=list)

    async def work(self) -> str:
        self.calls += 1
        self.clock.time += self.seconds
        if self.calls <= self.failures:
            raise self.error
        return "done"

    async def answer(self, seconds: float) -> str:
        return await with_retries(self.work, self.clock, Random(7), seconds=seconds, failed=self.seen.append)


async def test_a_transient_error_is_retried_until_it_passes() -> None:
    store = Store(StillClock(), 6)
    assert await store.answer(10) == "done"
    assert store.calls == 7
    assert store.seen == [AWAY] * 6


async def test_another_error_is_raised_at_once() -> None:
    store = Store(StillClock(), 1, StoreError("no such table"))
    with pytest.raises(StoreError, match="no such table"):
        await store.answer(10)
    assert store.calls == 1
    assert store.seen == []


@pytest.mark.parametrize("takes", [0.0, 0.3, 30.0])
async def test_no_try_begins_after_the_limit_and_one_begins_at_it(takes: float) -> None:
    store = Store(StillClock(), 10_000, seconds=takes)
    began = store.clock.time
    with pytest.raises(StoreError, match="away"):
        await store.answer(10)
    first_error = began + takes
    assert first_error + 10 <= store.clock.time <= first_error + 10 + takes
    assert 10 < store.calls < 200 if takes == 0.0 else store.calls >= 2


async def test_without_time_there_is_one_try() -> None:
    store = Store(StillClock(), 1)
    with pytest.raises(StoreError):
        await store.answer(0)
    assert store.calls == 1


async def test_a_cancelled_caller_does_not_try_again() -> None:
    clock = StillClock()
    store = Store(clock, 10_000)
    task = asyncio.ensure_future(store.answer(float("inf")))
    while store.calls < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@given(attempt=st.integers(1, 10_000), seed=st.integers())
def test_pauses_are_random_and_bounded(attempt: int, seed: int) -> None:
    assert 0.05 <= pause_seconds(attempt, Random(seed), 0.1, 2.0) <= 2.05
