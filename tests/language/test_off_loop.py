"""Work in threads: bounded, in the caller's context, and refused only while abandoned calls hold every thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from victor_dsl.errors import ComponentError
from victor_dsl.language.off_loop import OffLoop

STILL_RUNNING = "^a previous call that timed out is still running$"


@contextlib.asynccontextmanager
async def abandoned(off_loop: OffLoop) -> AsyncIterator[Callable[[], None]]:
    """A call that was cancelled after it began; it runs until the function that is yielded is called."""
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)

    task = asyncio.create_task(off_loop.run(work))
    try:
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        yield may_end.set
    finally:
        may_end.set()


async def result_once_free(off_loop: OffLoop) -> int:
    """What a call gives once the abandoned ones have ended."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await off_loop.run(lambda: 7)
            except ComponentError:
                await asyncio.sleep(0.001)


async def test_the_result_and_errors_come_back() -> None:
    off_loop = OffLoop()
    assert await off_loop.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await off_loop.run(divmod, 7, 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await off_loop.run(next, iter(()))
    assert await off_loop.run(threading.get_ident) != threading.get_ident()


async def test_only_large_work_leaves_the_loop() -> None:
    off_loop = OffLoop()
    assert await off_loop.run_if(False, threading.get_ident) == threading.get_ident()
    assert await off_loop.run_if(True, threading.get_ident) != threading.get_ident()


async def test_a_call_sees_the_context_variables_of_its_caller() -> None:
    who = contextvars.ContextVar("who", default="nobody")
    who.set("ann")
    assert await OffLoop().run(who.get) == "ann"


async def test_calls_of_several_turns_run_side_by_side() -> None:
    off_loop, meeting = OffLoop(), threading.Barrier(2, timeout=10)
    assert sorted(await asyncio.gather(off_loop.run(meeting.wait), off_loop.run(meeting.wait))) == [0, 1]


async def test_no_more_threads_are_used_than_the_component_may() -> None:
    off_loop, running, most = OffLoop(threads=2), threading.Semaphore(2), []

    def watched() -> None:
        most.append(running.acquire(blocking=False))
        running.release()

    await asyncio.gather(*[off_loop.run(watched) for _ in range(50)])
    assert most == [True] * 50


async def test_while_abandoned_calls_hold_every_thread_a_call_fails_at_once() -> None:
    off_loop = OffLoop(threads=1)
    async with abandoned(off_loop) as end:
        for _ in range(3):
            with pytest.raises(ComponentError, match=STILL_RUNNING):
                await off_loop.run(lambda: 7)
        end()
        assert await result_once_free(off_loop) == 7


async def test_a_thread_that_is_left_over_by_an_abandoned_call_is_used() -> None:
    off_loop = OffLoop(threads=2)
    async with abandoned(off_loop) as end:
        assert await off_loop.run(lambda: 7) == 7
        async with abandoned(off_loop) as end_other:
            with pytest.raises(ComponentError, match=STILL_RUNNING):
                await off_loop.run(lambda: 7)
            end_other()
        end()
        assert await result_once_free(off_loop) == 7


async def test_a_call_cancelled_while_it_waits_for_a_thread_never_begins() -> None:
    off_loop, ran, begun, may_end = OffLoop(threads=1), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)

    first = asyncio.create_task(off_loop.run(work))
    await asyncio.to_thread(begun.wait, 10)
    waiting = [asyncio.create_task(off_loop.run(ran.set)) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(task.cancelled() for task in waiting)
    may_end.set()
    await first
    assert await off_loop.run(lambda: 7) == 7
    assert not ran.is_set()


async def test_asyncios_own_pool_is_left_to_others() -> None:
    may_end = threading.Event()
    loop = asyncio.get_running_loop()
    others = [loop.run_in_executor(None, may_end.wait, 10) for _ in range(64)]  # every thread of the pool
    try:
        assert await OffLoop().run(lambda: 7) == 7
    finally:
        may_end.set()
        await asyncio.gather(*others)


def test_a_call_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = """
import asyncio, threading
from victor_dsl.language.off_loop import OffLoop

async def main():
    try:
        await asyncio.wait_for(OffLoop().run(threading.Event().wait), 0.01)
    except TimeoutError:
        print("late")

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("late\n", "")
