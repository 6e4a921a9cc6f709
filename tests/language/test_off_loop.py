"""Work in threads: given up, it keeps others from beginning until it ends."""

from __future__ import annotations

import asyncio
import threading

import pytest

from victor_dsl.errors import ComponentError
from victor_dsl.language.off_loop import THREADS, OffLoop


async def ended(work: OffLoop) -> int:
    """What work gives once that which was late has ended."""
    while True:
        try:
            return await work.run(lambda: 7)
        except ComponentError:
            await asyncio.sleep(0.001)


async def test_the_result_and_errors_come_back() -> None:
    work = OffLoop()
    assert await work.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await work.run(divmod, 7, 0)
    assert await work.run(threading.get_ident) != threading.get_ident()


async def test_work_of_several_turns_runs_side_by_side() -> None:
    work, meeting = OffLoop(), threading.Barrier(2, timeout=10)
    assert sorted(await asyncio.gather(work.run(meeting.wait), work.run(meeting.wait))) == [0, 1]


async def test_while_late_work_runs_no_other_begins() -> None:
    work, may_end, begun = OffLoop(), threading.Event(), threading.Event()

    def late() -> None:
        begun.set()
        may_end.wait(10)

    try:
        task = asyncio.create_task(work.run(late))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(3):
            with pytest.raises(ComponentError, match="has not ended yet"):
                await work.run(lambda: 7)
    finally:
        may_end.set()
    async with asyncio.timeout(10):
        assert await ended(work) == 7


async def test_work_waits_for_a_thread_and_given_up_before_it_began_never_begins() -> None:
    work, ran, may_end = OffLoop(), threading.Event(), threading.Event()
    pool = asyncio.get_running_loop()
    try:
        others = [pool.run_in_executor(None, may_end.wait, 10) for _ in range(64)]  # every thread of the process
        tasks = [asyncio.create_task(work.run(ran.set)) for _ in range(THREADS + 1)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
    finally:
        may_end.set()
    await asyncio.gather(*others)
    assert await work.run(lambda: 7) == 7
    assert not ran.is_set()


async def test_one_component_takes_no_more_threads_than_it_may() -> None:
    work, running, most = OffLoop(), threading.Semaphore(THREADS), []

    def watched() -> None:
        most.append(running.acquire(blocking=False))
        running.release()

    await asyncio.gather(*[work.run(watched) for _ in range(50)])
    assert most == [True] * 50
