"""Work that is ended although its caller is cancelled."""

import asyncio

import pytest

from victor_dsl.storage.ending import to_the_end


async def test_the_work_ends_first_however_often_its_caller_is_cancelled() -> None:
    go, ended = asyncio.Event(), []

    async def work() -> None:
        await go.wait()
        ended.append(True)

    task = asyncio.create_task(to_the_end(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_result_and_error_are_passed_on() -> None:
    async def good() -> int:
        return 7

    async def bad() -> int:
        raise OSError("x")

    assert await to_the_end(good()) == 7
    with pytest.raises(OSError, match="x"):
        await to_the_end(bad())
