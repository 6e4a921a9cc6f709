"""A batch slows down where a provider refuses requests for their rate, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from attrs import define, field

from victor_dsl.workbench.batch import Job, Ledger, Line, run_lines
from victor_dsl.workbench.batch.pace import MOST_ATTEMPTS, MOST_WAIT_S, Pace, wait_after


@define
class FakeTime:
    """A clock that waiting moves."""

    now: float = 0.0
    waits: list[float] = field(factory=list)

    async def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now = max(self.now, self.now + seconds)
        await asyncio.sleep(0)

    def pace(self, most: int) -> Pace:
        return Pace(most, self.wait, lambda: self.now)


def refusal(code: str = "model-rate_limited", **more: Any) -> dict[str, Any]:
    return {"id": 1, "error": {"code": code, "message": "slow down", **more}}


@pytest.mark.parametrize(
    ("output", "attempts", "seconds"),
    [
        ({"id": 1, "error": None}, 1, None),
        (refusal(), 1, 1),
        (refusal(), 2, 2),
        (refusal(), 5, 16),
        (refusal(), MOST_ATTEMPTS, None),
        (refusal(retry_after_s=7.5), 1, 7.5),
        (refusal(retry_after_s=0), 3, 0),
        (refusal(retry_after_s=MOST_WAIT_S + 1), 1, None),
        (refusal("model-overloaded"), 1, None),
        (refusal("model-overloaded", retry_after_s=3), 1, 3),
        (refusal("limit-reached", retry_after_s=3), 1, None),
        (refusal("model-authentication"), 1, None),
        ({"id": 1, "error": "odd"}, 1, None),
    ],
)
def test_only_a_refusal_that_passes_soon_is_asked_again(
    output: Mapping[str, Any], attempts: int, seconds: float
) -> None:
    assert wait_after(output, attempts) == seconds


async def run(
    count: int, answer: Any, pace: Pace, *, stopping: asyncio.Event | None = None
) -> tuple[list[dict[str, Any]], list[float]]:
    written: list[Any] = []
    pauses: list[float] = []

    async def lines() -> AsyncIterator[Line]:
        for number in range(1, count + 1):
            yield Line(number, number, size=10)

    job = Job(
        answer,
        lambda of, error: {"id": of.id, "error": error.to_dict()},
        written.append,
        lambda *_: None,
        None,
        pauses.append,
    )
    with Ledger() as ledger:
        await run_lines(lines(), ledger, job, concurrency=pace.most, pace=pace, stopping=stopping)
    return written, pauses


async def test_refused_lines_wait_as_long_as_asked_and_are_answered() -> None:
    time = FakeTime()
    refused: set[int] = set()

    async def answer(line: Line) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        if time.now < 20:
            refused.add(line.number)
            return {**refusal(retry_after_s=20), "id": line.id}
        return {"id": line.id, "error": None}

    written, pauses = await run(40, answer, time.pace(8))
    assert [sorted(line["id"] for line in written), {line["error"] for line in written}] == [[*range(1, 41)], {None}]
    assert refused <= set(range(1, 9))
    assert pauses == [20]
    assert time.now < 25


async def test_one_burst_of_refusals_halves_the_slots_once_and_successes_open_them_again() -> None:
    time = FakeTime()
    pace = time.pace(8)
    running = most_running = 0

    async def answer(line: Line) -> Mapping[str, Any]:
        nonlocal running, most_running
        running += 1
        most_running = max(most_running, running if time.now else 0)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1
        return {**refusal(), "id": line.id} if not time.now else {"id": line.id, "error": None}

    written, pauses = await run(12, answer, pace)
    assert len(written) == 12
    assert pauses == [1]
    assert 4 <= most_running < 8
    assert 4 < pace.slots < 8
    for _ in range(100):
        pace.succeed()
    assert pace.slots == 8


async def test_a_line_that_is_always_refused_has_its_error_after_a_bounded_time() -> None:
    time = FakeTime()
    attempts: list[int] = []

    async def answer(line: Line) -> Mapping[str, Any]:
        attempts.append(line.attempts)
        return {**refusal(), "id": line.id}

    written, _ = await run(1, answer, time.pace(1))
    assert [line["error"]["code"] for line in written] == ["model-rate_limited"]
    assert attempts == [*range(MOST_ATTEMPTS)]
    assert time.now == 1 + 2 + 4 + 8 + 16


async def test_a_run_that_is_stopped_does_not_wait_for_a_refused_line() -> None:
    stopping = asyncio.Event()

    async def answer(line: Line) -> Mapping[str, Any]:
        return {**refusal(retry_after_s=100), "id": line.id}

    async def wait(seconds: float) -> None:
        stopping.set()

    written, pauses = await run(3, answer, Pace(1, wait, lambda: 0.0), stopping=stopping)
    assert written == []
    assert pauses == [100]
