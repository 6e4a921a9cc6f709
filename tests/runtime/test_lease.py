"""Resources that are opened by their first user and closed after their last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from attrs import define, field

from tests.runtime.stage import Gate, settle
from victor_dsl.errors import ComponentError
from victor_dsl.runtime.generation import SessionLock
from victor_dsl.runtime.lease import Leases


@define
class Doors:
    """Opens what it is asked for, and logs it; a gate by the name of a step holds it up there."""

    log: list[str] = field(factory=list)
    gates: dict[str, Gate] = field(factory=dict)

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[object]:
        await self.at(f"open {key}")
        yield object()
        await self.at(f"close {key}")

    async def at(self, step: str) -> None:
        if gate := self.gates.get(step):
            await gate.pass_through()
        self.log.append(step)

    def gate(self, step: str) -> Gate:
        return self.gates.setdefault(step, Gate())


@pytest.fixture
def doors() -> Doors:
    return Doors()


async def test_a_resource_is_opened_once_and_closed_after_its_last_user(doors: Doors) -> None:
    leases = Leases[object](doors.open)
    one, two = await leases.take("a"), await leases.take("a")
    assert one.resource is two.resource
    await leases.release(one)
    assert doors.log == ["open a"]
    await leases.release(two)
    assert (doors.log, len(leases)) == (["open a", "close a"], 0)


async def test_what_is_unused_for_longest_is_closed_when_too_much_is_idle(doors: Doors) -> None:
    leases = Leases[object](doors.open, idle=2)
    for key in "abac":
        leases.end(await leases.take(key))
    await settle()
    assert doors.log == ["open a", "open b", "open c", "close b"]
    await leases.close()
    assert doors.log[4:] == ["close c", "close a"]


async def test_what_is_in_use_is_never_closed_for_want_of_room(doors: Doors) -> None:
    leases = Leases[object](doors.open, idle=1)
    held = [await leases.take(key) for key in "abc"]
    for lease in held[:2]:
        leases.end(lease)
    again = await leases.take("b")
    await settle()
    assert doors.log == ["open a", "open b", "open c", "close a"]
    assert again is held[1]
    await leases.close()


async def test_one_that_is_taken_while_another_is_evicted_stays_open(doors: Doors) -> None:
    leases = Leases[object](doors.open, idle=2)
    gate = doors.gate("close a")
    held = [await leases.take(key) for key in "abcd"]
    for lease in held:
        leases.end(lease)  # two are closed, in the background
    await gate.reached.wait()
    taken = [await leases.take(key) for key in "cd"]
    again = asyncio.create_task(leases.take("a"))
    await settle()
    assert not again.done()
    gate.opened.set()
    assert (await again).resource is not held[0].resource
    assert [lease.resource for lease in taken] == [lease.resource for lease in held[2:]]
    assert doors.log[4:] == ["close b", "close a", "open a"]
    await leases.close()


async def test_users_that_come_while_it_opens_share_the_opening(doors: Doors) -> None:
    leases, gate = Leases[object](doors.open), doors.gate("open a")
    one, two = asyncio.create_task(leases.take("a")), asyncio.create_task(leases.take("a"))
    await gate.reached.wait()
    one.cancel()
    await settle()
    gate.opened.set()
    await leases.release(await two)
    with pytest.raises(asyncio.CancelledError):
        await one
    assert (doors.log, len(leases)) == (["open a", "close a"], 0)


async def test_an_opening_that_nobody_waits_for_is_cancelled(doors: Doors) -> None:
    leases, gate = Leases[object](doors.open), doors.gate("open a")
    one = asyncio.create_task(leases.take("a"))
    await gate.reached.wait()
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    assert (doors.log, len(leases)) == ([], 0)


async def test_every_waiter_gets_the_error_and_the_next_user_opens_anew() -> None:
    errors: list[BaseException] = [asyncio.CancelledError(), ValueError("torn")]

    @asynccontextmanager
    async def open(key: str) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        if errors:
            raise errors.pop()
        yield key

    leases = Leases[str](open)
    for error in (ValueError, asyncio.CancelledError):
        results = await asyncio.gather(leases.take("a"), leases.take("a"), return_exceptions=True)
        assert [type(result) for result in results] == [error, error]
    assert (await leases.take("a")).resource == "a"
    await leases.close()


async def test_closing_ends_what_is_used_and_what_is_still_opening(doors: Doors) -> None:
    leases, gate = Leases[object](doors.open, idle=9), doors.gate("open b")
    used, idle = await leases.take("a"), await leases.take("c")
    leases.end(idle)
    opening = asyncio.create_task(leases.take("b"))
    await gate.reached.wait()
    await leases.close()
    with pytest.raises(ComponentError, match="b was closed while it was being opened"):
        await opening
    leases.end(used)  # a user that comes late harms nobody
    assert (doors.log, len(leases)) == (["open a", "open c", "close c", "close a"], 0)


async def test_closing_ends_what_has_not_begun_to_open(doors: Doors) -> None:
    leases = Leases[object](doors.open)
    opening = asyncio.create_task(leases.take("a"))
    await asyncio.sleep(0)  # the owner exists, and has not run yet
    await leases.close()
    with pytest.raises(ComponentError, match="a was closed while it was being opened"):
        await opening
    assert (doors.log, len(leases)) == ([], 0)


async def test_one_that_does_not_close_is_given_up_and_reported() -> None:
    @asynccontextmanager
    async def open(key: str) -> AsyncIterator[str]:
        yield key
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                continue

    stop = asyncio.Event()
    failed: list[tuple[str, str]] = []
    leases = Leases[str](open, closing_s=0.001, failed=lambda key, error: failed.append((key, str(error))))
    lease = await leases.take("a")
    await leases.release(lease)
    assert failed == [("a", "did not close within 0.001 s")]
    assert len(leases) == 0
    stop.set()
    assert lease.owner is not None
    await asyncio.wait([lease.owner])


async def test_a_resource_that_is_no_context_manager_is_made_and_forgotten() -> None:
    leases = Leases(lambda key: [key])
    lease = await leases.take("a")
    assert (lease.resource, await leases.take("a")) == (["a"], lease)
    leases.end(lease)
    assert len(leases) == 1
    leases.end(lease)
    assert len(leases) == 0


class Sessions:
    """The locks of sessions, as a generation uses them."""

    def __init__(self) -> None:
        self.leases = Leases(lambda _: SessionLock())

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[None]:
        lease = await self.leases.take(key)
        try:
            async with lease.resource.lock:
                yield
        finally:
            self.leases.end(lease)


async def test_two_turns_of_one_session_are_one_after_the_other_in_the_order_they_came() -> None:
    locks = Sessions()
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
    assert len(locks.leases) == 0


async def test_turns_of_two_sessions_do_not_wait_for_each_other() -> None:
    locks = Sessions()
    async with locks.hold("s1"):
        async with locks.hold("s2"):
            assert len(locks.leases) == 2
        assert len(locks.leases) == 1


async def test_a_waiter_that_is_cancelled_leaves_the_lock_to_the_next() -> None:
    locks = Sessions()

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
    assert len(locks.leases) == 0


async def test_a_turn_that_fails_gives_its_lock_back() -> None:
    locks = Sessions()
    with pytest.raises(ValueError, match="torn"):
        async with locks.hold("s"):
            raise ValueError("torn")
    assert len(locks.leases) == 0
