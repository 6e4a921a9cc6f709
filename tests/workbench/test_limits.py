"""A batch waits for the limits of its own spec: lines are asked again when their limit allows it, and others go on meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from victor_dsl.compiler import compile_spec
from victor_dsl.errors import Limit, LimitReached
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.codec import read_request
from victor_dsl.workbench.batch import Job, Ledger, Limited, Limits, Line, run_lines
from victor_dsl.workbench.batch.limits import MOST_REFUSALS

SPEC = """\
victor: 1
name: limited
models: {{main: {{type: echo}}}}
unknown_tenants: base
settings: {{limits: {limits}}}
middleware: [{{type: rate_limit, per: {per}}}]
"""


@define
class HeldClock:
    """A clock that moves to the next time that somebody waits for, once everybody waits."""

    time: float = 1_700_000_000.0
    due: list[tuple[float, asyncio.Future[None]]] = field(factory=list)

    def now(self) -> float:
        return self.time

    monotonic = now

    async def sleep(self, seconds: float) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self.due.append((self.time + seconds, waiting))
        await waiting

    async def drive(self) -> None:
        while True:
            for _ in range(200):
                await asyncio.sleep(0)
            self.due = [each for each in self.due if not each[1].done()]
            if self.due:
                self.time = max(self.time, min(time for time, _ in self.due))
                for time, waiting in self.due:
                    if time <= self.time and not waiting.done():
                        waiting.set_result(None)


@define
class Run:
    """What a run did: the outputs in order, with the time of each, and how often a line was refused."""

    clock: HeldClock = field(factory=HeldClock)
    outputs: list[Mapping[str, Any]] = field(factory=list)
    times: list[float] = field(factory=list)
    refusals: int = 0
    reached: list[Limit] = field(factory=list)
    most_waiting: int = 0


async def run(folder: Path, requests: list[dict[str, Any]], limits: str, *, per: str = "tenant") -> Run:
    """Answers request lines with a spec of these limits on a held clock."""
    path = folder / "victor.yml"
    path.write_text(SPEC.format(limits=limits, per=per))
    program = compile_spec(str(path), environment={}).program
    assert program is not None
    done = Run()
    clock, began = done.clock, done.clock.time
    waits = Limits(clock.sleep, clock.now, done.reached.append)

    async def lines() -> AsyncIterator[Line]:
        for number, data in enumerate(requests, start=1):
            yield Line(number, number, data, size=len(json.dumps(data)))

    async def answer(line: Line) -> Mapping[str, Any] | Limited:
        done.most_waiting = max([done.most_waiting, *(found.lines for found in waits.waiting())])
        reply = await orchestrator.answer(read_request(line.data))
        if isinstance(reply.error, LimitReached) and reply.error.limit is not None:
            done.refusals += 1
            return Limited(reply.to_dict(), reply.error.limit, reply.error.retry_after_s)
        return reply.to_dict()

    def write(output: Mapping[str, Any]) -> None:
        done.outputs.append(output)
        done.times.append(clock.time - began)

    async with Orchestrator(program, clock=clock) as orchestrator:
        driving = asyncio.create_task(clock.drive())
        job = Job(answer, lambda line, error: {"id": line.id, "error": error.to_dict()}, write, lambda *_: None)
        with Ledger() as ledger:
            await run_lines(lines(), ledger, job, concurrency=8, limits=waits)
        driving.cancel()
        await asyncio.wait([driving])
    return done


def of(tenant: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"message": f"{tenant} {number}", "tenant": tenant, **more} for number in range(count)]


async def test_500_lines_of_60_a_minute_are_all_answered_as_fast_as_the_limit_allows(tmp_path: Path) -> None:
    done = await run(tmp_path, of("acme", 500), "{requests_per_minute: 60}")
    assert sorted(output["reply"] for output in done.outputs) == sorted(f"acme {number}" for number in range(500))
    assert {output["error"] is None for output in done.outputs} == {True}
    assert done.times[-1] == pytest.approx(440, abs=2)  # a minute's worth at once, then one a second
    assert [(limit.name, limit.whose) for limit in done.reached] == [("requests_per_minute", "acme")]
    assert done.refusals <= 16, "lines that come later wait for their time without being refused first"


async def test_other_tenants_lines_go_on_though_hundreds_wait_before_them(tmp_path: Path) -> None:
    done = await run(tmp_path, [*of("acme", 300), *of("globex", 50)], "{requests_per_minute: 60}")
    globex = [time for output, time in zip(done.outputs, done.times, strict=True) if output["tenant"] == "globex"]
    assert (len(globex), max(globex)) == (50, 0)
    assert len(done.outputs) == 350
    assert done.most_waiting > 200


async def test_lines_of_a_session_stay_in_order(tmp_path: Path) -> None:
    requests = [*of("acme", 30, session="one"), *of("acme", 60), *of("acme", 30, session="two")]
    done = await run(tmp_path, requests, "{requests_per_minute: 30}")
    for session in ("one", "two"):
        said = [output["reply"] for output in done.outputs if output["session"] == session]
        assert said == [f"acme {number}" for number in range(30)]


async def test_a_limit_of_tokens_is_waited_for(tmp_path: Path) -> None:
    requests = [
        {"message": "x" * 400, "settings": {"max_tokens": 100}} for _ in range(20)
    ]  # 104 tokens, and 100 for the answer
    done = await run(tmp_path, requests, "{tokens_per_minute: 600}")
    assert {output["error"] is None for output in done.outputs} == {True}
    assert 5 * 60 < done.times[-1] < 8 * 60
    assert done.reached[0].name == "tokens_per_minute"


async def test_a_line_that_the_limit_never_allows_is_an_error_at_once(tmp_path: Path) -> None:
    done = await run(tmp_path, [{"message": "x" * 4000}], "{tokens_per_minute: 100}")
    assert [output["error"]["code"] for output in done.outputs] == ["limit-reached"]
    assert done.times == [0]


async def test_a_limit_that_others_use_up_is_an_error_after_a_bounded_number_of_tries() -> None:
    clock, asked, written = HeldClock(), list[int](), list[Mapping[str, Any]]()
    limit = Limit("requests_per_minute", "tenant", "acme", "acme", 1.0)
    refused = {"id": 1, "error": {"code": "limit-reached", "message": "no"}}

    async def lines() -> AsyncIterator[Line]:
        yield Line(1, 1, {}, size=1)

    async def answer(line: Line) -> Limited:
        asked.append(line.attempts)
        return Limited(refused, limit, 3.0)

    driving = asyncio.create_task(clock.drive())
    with Ledger() as ledger:
        job = Job(answer, lambda *_: {}, written.append, lambda *_: None)
        await run_lines(lines(), ledger, job, concurrency=1, limits=Limits(clock.sleep, clock.now))
    driving.cancel()
    await asyncio.wait([driving])
    assert asked == list(range(MOST_REFUSALS))
    assert written == [refused]


async def test_a_line_that_its_limit_allows_only_after_hours_is_an_error_at_once(tmp_path: Path) -> None:
    done = await run(tmp_path, of("acme", 3), "{requests_per_minute: 0.001}")
    assert [(output["error"]["code"], output["error"]["retry_after_s"] > 3600) for output in done.outputs] == [
        ("limit-reached", True)
    ] * 3
    assert done.times == [0, 0, 0]
    assert done.reached == [], "nothing waits"


async def test_lines_with_a_limit_of_concurrency_run_so_many_at_a_time() -> None:
    """Also where one is refused by two such limits, in either order."""
    clock, running, most, refusals = HeldClock(), 0, 0, 0
    written: list[Mapping[str, Any]] = []
    limits = [Limit("concurrency", per, f"{per} a", "a", places=2) for per in ("tenant", "user")]

    async def lines() -> AsyncIterator[Line]:
        for number in range(1, 41):
            yield Line(number, number, {}, size=1)

    async def answer(line: Line) -> Mapping[str, Any] | Limited:
        nonlocal running, most, refusals
        if running >= 2:
            refusals += 1
            return Limited({"id": line.id, "error": {}}, limits[(line.number + line.attempts) % 2])
        running += 1
        most = max(most, running)
        await clock.sleep(2)
        running -= 1
        return {"id": line.id, "error": None}

    driving = asyncio.create_task(clock.drive())
    began = clock.time
    with Ledger() as ledger:
        job = Job(answer, lambda *_: {}, written.append, lambda *_: None)
        await run_lines(lines(), ledger, job, concurrency=8, limits=Limits(clock.sleep, clock.now))
    driving.cancel()
    await asyncio.wait([driving])
    assert (most, [output["error"] for output in written]) == (2, [None] * 40)
    assert clock.time - began < 50
    assert refusals < 40


async def test_a_run_that_is_stopped_leaves_waiting_lines_for_a_resume(tmp_path: Path) -> None:
    stopping = asyncio.Event()
    clock, written = HeldClock(), list[Mapping[str, Any]]()

    async def wait(seconds: float) -> None:
        stopping.set()

    async def lines() -> AsyncIterator[Line]:
        for number in (1, 2, 3):
            yield Line(number, number, {}, size=1)

    async def answer(line: Line) -> Limited:
        return Limited({"id": line.id, "error": {}}, Limit("requests_per_minute", "tenant", "a", "a", 1.0), 5.0)

    with Ledger() as ledger:
        job = Job(answer, lambda *_: {}, written.append, lambda *_: None)
        await run_lines(lines(), ledger, job, concurrency=1, limits=Limits(wait, clock.now), stopping=stopping)
    assert written == []
