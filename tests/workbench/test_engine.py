"""The local engine answers every line once, sessions in order, within its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest

from victor_dsl.errors import ComponentError, RequestError, StoreError
from victor_dsl.workbench.batch import Job, Ledger, Line, Tally, run_lines


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Ledger() as opened:
        yield opened


Answer = Callable[[Line], Awaitable[Mapping[str, Any]]]


def line(number: int, session: str | None = None) -> Line:
    return Line(number, number, {"session": session} if session else {}, size=10)


async def stream(*lines: Line) -> AsyncIterator[Line]:
    for one in lines:
        yield one


async def echo(of: Line) -> Mapping[str, Any]:
    await asyncio.sleep(0)
    return {"id": of.id, "error": None}


def job(answer: Answer = echo, written: list[Mapping[str, Any]] | None = None, session: str | None = None) -> Job:
    return Job(
        answer=answer,
        fail=lambda of, error: {"id": of.id, "error": error.to_dict()},
        write=(written if written is not None else []).append,
        watch=lambda _, __: None,
        session=session,
    )


async def test_every_line_has_one_output(ledger: Ledger) -> None:
    written: list[Mapping[str, Any]] = []
    tally = await run_lines(stream(*map(line, range(1, 101))), ledger, job(written=written), concurrency=7)
    assert sorted(output["id"] for output in written) == list(range(1, 101))
    assert tally == Tally(answered=100, done_bytes=1100)


async def test_lines_of_one_session_are_answered_one_after_the_other_in_order(ledger: Ledger) -> None:
    begun: list[int] = []
    running: set[str] = set()

    async def answer(of: Line) -> Mapping[str, Any]:
        assert of.session is not None
        assert of.session not in running
        running.add(of.session)
        begun.append(of.number)
        for _ in range(of.number % 5):
            await asyncio.sleep(0)
        running.remove(of.session)
        return {"id": of.id}

    await run_lines(stream(*(line(n, "abc"[n % 3]) for n in range(60))), ledger, job(answer), concurrency=8)
    for part in range(3):
        mine = [n for n in begun if n % 3 == part]
        assert mine == sorted(mine)
    assert len(begun) == 60


async def test_the_jobs_session_is_that_of_lines_without_one(ledger: Ledger) -> None:
    most = running = 0

    async def answer(of: Line) -> Mapping[str, Any]:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return {"id": of.id}

    await run_lines(stream(*map(line, range(1, 20))), ledger, job(answer, session="one"), concurrency=8)
    assert most == 1


async def test_concurrency_and_lines_held_are_bounded(ledger: Ledger) -> None:
    running = most = read = done = ahead = 0

    async def lines() -> AsyncIterator[Line]:
        nonlocal read, ahead
        for number in range(1, 201):
            read += 1
            ahead = max(ahead, read - done)
            yield line(number)

    async def answer(of: Line) -> Mapping[str, Any]:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done += 1
        return {"id": of.id}

    await run_lines(lines(), ledger, job(answer), concurrency=4, ahead=10)
    assert most == 4
    assert ahead <= 11


async def test_large_lines_are_held_few_at_a_time(ledger: Ledger) -> None:
    held = most = 0

    async def lines() -> AsyncIterator[Line]:
        nonlocal held, most
        for number in range(1, 20):
            held += 1
            most = max(most, held)
            yield Line(number, number, size=30 << 20)

    async def answer(of: Line) -> Mapping[str, Any]:
        nonlocal held
        await asyncio.sleep(0)
        held -= 1
        return {"id": of.id}

    await run_lines(lines(), ledger, job(answer), concurrency=10)
    assert most <= 3


async def test_a_failing_line_gets_an_error_object_and_the_others_run(ledger: Ledger) -> None:
    async def answer(of: Line) -> Mapping[str, Any]:
        if of.number == 2:
            raise RequestError("no such tenant")
        if of.number == 3:
            raise ZeroDivisionError("a bug")
        return await echo(of)

    written: list[Mapping[str, Any]] = []
    bad = Line(4, 4, error=RequestError("line 4 is not JSON"))
    tally = await run_lines(stream(*map(line, (1, 2, 3)), bad, line(5)), ledger, job(answer, written), concurrency=1)
    assert [(output["error"] or {}).get("code") for output in written] == [
        None,
        "bad-request",
        "component",
        "bad-request",
        None,
    ]
    assert (tally.answered, tally.errors) == (5, 3)


async def test_a_line_that_is_cancelled_by_nobody_gets_an_error_object_and_frees_its_room(ledger: Ledger) -> None:
    async def answer(of: Line) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    written: list[Mapping[str, Any]] = []
    tally = await run_lines(stream(*map(line, range(1, 401))), ledger, job(answer, written), concurrency=2)
    assert (tally.answered, tally.errors, len(written)) == (400, 400, 400)
    assert all(output["error"]["message"].startswith("internal error ") for output in written)


async def test_a_run_that_lost_a_line_says_so(ledger: Ledger) -> None:
    def write(_: Mapping[str, Any]) -> None:
        raise asyncio.CancelledError

    broken = job()
    broken.write = write
    with pytest.raises(ComponentError, match="3 lines got no output"):
        await run_lines(stream(*map(line, range(1, 4))), ledger, broken, concurrency=4)


async def test_an_output_that_cannot_be_written_ends_the_run(ledger: Ledger) -> None:
    def write(_: Mapping[str, Any]) -> None:
        raise StoreError("cannot write out.jsonl: No space left on device")

    broken = job()
    broken.write = write
    with pytest.raises(StoreError, match=r"out\.jsonl"):
        await run_lines(stream(*map(line, range(1, 50))), ledger, broken, concurrency=4)


async def test_an_input_that_cannot_be_read_ends_the_run(ledger: Ledger) -> None:
    async def lines() -> AsyncIterator[Line]:
        yield line(1)
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        await run_lines(lines(), ledger, job(), concurrency=4)


async def test_stopping_finishes_what_was_begun_and_begins_nothing_more(ledger: Ledger) -> None:
    stopping, begun, written = asyncio.Event(), list[int](), list[Mapping[str, Any]]()
    release = asyncio.Event()

    async def answer(of: Line) -> Mapping[str, Any]:
        begun.append(of.number)
        if len(begun) == 3:
            stopping.set()
            release.set()
        await release.wait()
        return {"id": of.id}

    async def endless() -> AsyncIterator[Line]:
        number = 0
        while True:
            number += 1
            yield line(number)
            await asyncio.sleep(0)

    await run_lines(endless(), ledger, job(answer, written), concurrency=3, stopping=stopping)
    assert begun == [1, 2, 3]
    assert sorted(output["id"] for output in written) == [1, 2, 3]
