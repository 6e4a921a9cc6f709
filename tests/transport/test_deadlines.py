"""One time limit for many tasks."""

from __future__ import annotations

import asyncio

import pytest

from victor_dsl.transport.deadlines import Deadlines


async def test_a_late_task_is_stopped_at_its_deadline_and_no_other() -> None:
    deadlines, loop = Deadlines(0.02), asyncio.get_running_loop()
    durations: list[float] = []

    async def late() -> None:
        started = loop.time()
        try:
            with deadlines.limit():
                await asyncio.Event().wait()
        except TimeoutError:
            durations.append(loop.time() - started)

    async def in_time(other: asyncio.Task[None]) -> str:
        with deadlines.limit():
            await asyncio.sleep(0)
        await other  # which takes longer than the limit
        return "done"

    first = asyncio.create_task(late())
    quick = asyncio.create_task(in_time(first))
    await asyncio.sleep(0)
    await asyncio.create_task(late())
    assert await quick == "done"
    assert len(durations) == 2
    assert min(durations) >= 0.02
    assert (first.cancelling(), first.cancelled()) == (0, False)
    deadlines.close()


async def test_a_task_may_be_limited_again_after_it_was_late() -> None:
    deadlines = Deadlines(0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError), deadlines.limit():
            await asyncio.Event().wait()
    with deadlines.limit():
        await asyncio.sleep(0)
    deadlines.close()


async def test_a_cancellation_from_elsewhere_is_passed_on() -> None:
    deadlines = Deadlines(60)

    async def limited() -> None:
        with deadlines.limit():
            await asyncio.Event().wait()

    task = asyncio.create_task(limited())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_a_cancellation_at_the_same_time_wins() -> None:
    deadlines, late = Deadlines(0.01), asyncio.Event()

    async def limited() -> None:
        with deadlines.limit():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                late.set()
                await asyncio.sleep(0)
                raise

    task = asyncio.create_task(limited())
    await late.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    deadlines.close()


async def test_other_errors_pass() -> None:
    deadlines = Deadlines(60)
    with pytest.raises(ValueError, match="mine"), deadlines.limit():
        raise ValueError("mine")
    deadlines.close()
