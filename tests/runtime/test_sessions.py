"""The lock of each session."""

from __future__ import annotations

import asyncio

import pytest

from tests.runtime.stage import settle
from victor_dsl.runtime.sessions import SessionLocks


async def test_two_turns_of_one_session_are_one_after_the_other_in_the_order_they_came() -> None:
    locks = SessionLocks()
    order: list[str] = []
    go = asyncio.Event()

    async def turn(name: str) -> None:
        async with locks.hold("s"):
            order.append(f"{name} in")
            await go.wait()
            await asyncio.sleep(0)
            order.append(f"{name} out")

    tasks = [asyncio.create_task(turn(name)) for name in "abc"]
    await settle()
    assert order == ["a in"]
    go.set()
    await asyncio.gather(*tasks)
    assert order == ["a in", "a out", "b in", "b out", "c in", "c out"]
    assert len(locks) == 0


async def test_turns_of_two_sessions_do_not_wait_for_each_other() -> None:
    locks = SessionLocks()
    async with locks.hold("s1"):
        async with locks.hold("s2"):
            assert len(locks) == 2
        assert len(locks) == 1


async def test_a_waiter_that_is_cancelled_leaves_the_lock_to_the_next() -> None:
    locks = SessionLocks()

    async def turn() -> str:
        async with locks.hold("s"):
            return "done"

    async with locks.hold("s"):
        first, second = asyncio.create_task(turn()), asyncio.create_task(turn())
        await settle()
        first.cancel()
        await settle()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "done"
    assert len(locks) == 0


async def test_a_turn_that_fails_gives_its_lock_back() -> None:
    locks = SessionLocks()
    with pytest.raises(ValueError, match="torn"):
        async with locks.hold("s"):
            raise ValueError("torn")
    assert len(locks) == 0
