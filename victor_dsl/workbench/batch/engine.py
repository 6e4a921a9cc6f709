"""The local engine: answers request lines concurrently, but those of one session one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import define, evolve, field

from victor_dsl.errors import ComponentError, VictorError
from victor_dsl.language.boundary import component_error, is_fault
from victor_dsl.workbench.batch.ledger import Ledger
from victor_dsl.workbench.batch.limits import MOST_WAITING, Limited, Limits
from victor_dsl.workbench.batch.lines import Line
from victor_dsl.workbench.batch.pace import Pace, wait_after

AHEAD_BYTES = 64 << 20
"""The most bytes of input in memory, whatever the number of lines."""


@define
class Tally:
    """The progress of a run. `done_bytes` is how much of the input is finished, line breaks included."""

    answered: int = 0
    errors: int = 0
    skipped: int = 0
    done_bytes: int = 0


@define
class Job:
    """What to do with each line.

    `answer` returns a line's output object, or `Limited` where the line is to be asked again when a limit of the spec allows it. For a line with an error, and where `answer` raises, `fail` returns the
    object. `write` stores it; an error of `write` ends the run. `watch` is called after that. `session` is the session
    of lines that name none; with None each such line is a session of its own. `slowed` is called when the run pauses for so
    many seconds because a provider refuses requests for their rate.
    """

    answer: Callable[[Line], Awaitable[Mapping[str, Any] | Limited]]
    fail: Callable[[Line, VictorError], Mapping[str, Any]]
    write: Callable[[Mapping[str, Any]], None]
    watch: Callable[[Line, Mapping[str, Any]], None]
    session: str | None = None
    slowed: Callable[[float], None] | None = None


async def run_lines(
    lines: AsyncIterator[Line],
    ledger: Ledger,
    job: Job,
    *,
    concurrency: int,
    ahead: int | None = None,
    stopping: asyncio.Event | None = None,
    tally: Tally | None = None,
    pace: Pace | None = None,
    limits: Limits | None = None,
) -> Tally:
    """Does the job for every line that the ledger admits; returns the counts.

    At most `concurrency` lines are worked on at a time, and at most `ahead` are in memory, waiting ones included. Once
    `stopping` is set no further line is begun, and those begun are finished. A line that a provider refuses for its rate is
    asked again at a slower pace; one that a limit of the spec refuses, when that allows it. Raises what reading the lines or `write` raises, and ComponentError if a line got no output.
    """
    wait = partial(until_stopped, stopping) if stopping else asyncio.sleep
    pace, limits = pace or Pace(concurrency, wait), limits or Limits(wait)
    run = _Run(job, ledger, pace, limits, ahead or 16 * concurrency, tally or Tally(), stopping)
    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(run.read(lines, group))
            if stopping is not None:
                halting = group.create_task(_cancel_after(stopping, reading))
                reading.add_done_callback(lambda _: halting.cancel())
    except BaseExceptionGroup as several:  # a full disk fails every running line in the same way
        raise several.exceptions[0] from None
    if run.unwritten and not run.stopped():
        raise ComponentError(f"internal error: {run.unwritten} lines got no output", hint="--resume answers them")
    return run.tally


@define
class _Run:
    job: Job
    ledger: Ledger
    pace: Pace
    limits: Limits
    ahead: int
    tally: Tally
    stopping: asyncio.Event | None
    pending: int = 0
    unwritten: int = 0
    pending_bytes: int = 0
    room: asyncio.Event = field(factory=asyncio.Event)
    waiting: dict[str | int, deque[Line]] = field(factory=dict)

    def stopped(self) -> bool:
        return self.stopping is not None and self.stopping.is_set()

    async def read(self, lines: AsyncIterator[Line], group: asyncio.TaskGroup) -> None:
        async for parsed in lines:
            line = self.ledger.admit(parsed)
            if line is None:
                self.tally.skipped += 1
                self.tally.done_bytes += parsed.size + 1
                continue
            await self.make_room(line.size)
            session = line.session or self.job.session or line.number
            if session in self.waiting:
                self.waiting[session].append(line)
            else:
                self.waiting[session] = deque([line])
                group.create_task(self.work(session))

    async def make_room(self, size: int) -> None:
        while self.pending and (self.is_full() or self.pending_bytes + size > AHEAD_BYTES):
            self.room.clear()
            await self.room.wait()
        self.pending += 1
        self.unwritten += 1
        self.pending_bytes += size

    def is_full(self) -> bool:
        """Whether there are enough lines in memory. Those that wait for a limit leave the room to others."""
        return self.pending - min(self.limits.count, MOST_WAITING) >= self.ahead

    async def work(self, session: str | int) -> None:
        queue = self.waiting[session]
        while queue and (output := await self.final_output(queue[0])) is not None:
            line = queue.popleft()
            self.job.write(output)
            self.unwritten -= 1
            self.tally.answered += 1
            self.tally.errors += output.get("error") is not None
            self.tally.done_bytes += line.size + 1
            self.job.watch(line, output)
            self.pending -= 1
            self.pending_bytes -= line.size
            self.room.set()
        del self.waiting[session]

    async def final_output(self, line: Line) -> Mapping[str, Any] | None:
        """The line's output, after so many attempts as the limits of the spec and of a provider take; None once the run is stopped."""
        async with self.limits.line(line) as limited:
            while True:
                self.room.set()  # the line may begin to wait
                await limited.ready()
                async with self.pace as began:
                    if self.stopped():
                        return None
                    output = await self.output(line)
                line = evolve(line, attempts=line.attempts + 1)
                if isinstance(output, Limited):
                    if not limited.refused(output):
                        return output.output
                elif (seconds := wait_after(output, line.attempts - limited.refusals)) is None:
                    self.pace.succeed()
                    return output
                elif self.pace.slow_down(seconds, began) and self.job.slowed is not None:
                    self.job.slowed(seconds)

    async def output(self, line: Line) -> Mapping[str, Any] | Limited:
        if line.error is not None:
            return self.job.fail(line, line.error)
        try:
            return await self.job.answer(line)
        except BaseException as error:
            if not is_fault(error):
                raise
            return self.job.fail(line, component_error(error))


async def until_stopped(stopping: asyncio.Event, seconds: float) -> None:
    """Sleeps, but no longer than until the run is stopped."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


async def _cancel_after(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    await event.wait()
    task.cancel()
