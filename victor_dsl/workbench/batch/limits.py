"""The limits of the spec itself in a batch: a refused line is asked again when its limit allows it, and other lines go on.

All lines of one limit, such as those of a tenant, get their times one after the other. So of a thousand lines that wait hardly one is
asked, and refused, twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from attrs import define, field, frozen

from victor_dsl.errors import Limit
from victor_dsl.workbench.batch.lines import Line

MOST_REFUSALS = 20
"""How often a line is asked while its limit refuses it; after that its error is written. Others may use the same limit."""

MOST_WAIT_S = 3600.0
"""Where a limit allows a line only after a longer time, the line's error is written at once."""

UNKNOWN_S = 1.0
"""The pause where a limit cannot say when it will allow more."""

MOST_WAITING = 10_000
"""How many waiting lines are in memory; over that, reading the input waits for them."""


@frozen
class Limited:
    """The refusal of a line by a limit, and how long until the limit allows it; `output` is written if it is not asked again."""

    output: Mapping[str, Any]
    limit: Limit
    retry_after_s: float | None = None


class Waiting(NamedTuple):
    """How many lines wait for a limit, and in how many seconds the last of them is asked."""

    limit: Limit
    lines: int
    seconds: float


@define(eq=False)
class _Queue:
    """The lines of one limit. `free_at` is the time for the next one that comes."""

    limit: Limit
    free_at: float = 0.0
    interval: float = UNKNOWN_S
    places: asyncio.Semaphore | None = None
    times: list[float] = field(factory=list)

    def next_time(self, earliest: float) -> float:
        """The time at which one more line is asked."""
        at = max(earliest, self.free_at)
        self.free_at = at + self.interval
        return at


@define(eq=False)
class Limits:
    """The limits that have refused lines of a run. `wait` sleeps, and may return early when the run stops."""

    wait: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    reached: Callable[[Limit], None] | None = None
    """Called when a limit refuses a line for the first time."""
    count: int = 0
    """How many lines wait."""
    _queues: dict[tuple[str, str], _Queue] = field(factory=dict)  # by the limit's name and subject
    _groups: dict[tuple[Any, ...], dict[tuple[str, str], _Queue]] = field(
        factory=dict
    )  # by what lines say of themselves

    def waiting(self) -> list[Waiting]:
        """The limits that lines wait for."""
        now = self.now()
        found = [(queue, [at for at in queue.times if at > now]) for queue in self._queues.values()]
        return [Waiting(queue.limit, len(times), max(times) - now) for queue, times in found if times]

    @asynccontextmanager
    async def line(self, line: Line) -> AsyncIterator[LimitedLine]:
        """A line while it is answered."""
        limited = LimitedLine(self, line)
        try:
            yield limited
        finally:
            limited.end()

    def queues_of(self, line: Line) -> list[_Queue]:
        """The queues of the limits that have refused lines like this one."""
        return [queue for group in _groups(line) for queue in self._groups.get(group, {}).values()]

    def queue(self, line: Line, refusal: Limited) -> _Queue:
        """The queue of the limit that has refused the line; lines like it join it without being refused."""
        limit = refusal.limit
        key = (limit.name, limit.subject)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(limit)
            if limit.places is not None:
                queue.places = asyncio.Semaphore(limit.places)
            if self.reached is not None:
                self.reached(limit)
        if limit.interval_s is not None:
            queue.interval = limit.interval_s
        self._groups.setdefault(_group(line, limit.per), {})[key] = queue
        return queue


@define(eq=False)
class LimitedLine:
    """One line: when it may be asked, and its places among the concurrent lines of its limits."""

    limits: Limits
    line: Line
    refusals: int = 0
    _times: dict[_Queue, float] = field(factory=dict)
    _places: list[asyncio.Semaphore] = field(factory=list)

    async def ready(self) -> None:
        """Waits until the line may be asked, as far as earlier refusals tell."""
        now = self.limits.now()
        queues = self.limits.queues_of(self.line)
        await self._take_places([queue for queue in queues if queue.places is not None])
        for queue in queues:
            if queue.places is None and not self.refusals and queue.free_at > now:
                self._times[queue] = queue.next_time(now)
        if not self._times:
            return
        at = max(self._times.values())
        for queue in self._times:
            queue.times.append(at)
        self.limits.count += 1
        try:
            if (seconds := at - self.limits.now()) > 0:
                await self.limits.wait(seconds)
        finally:
            self.limits.count -= 1
            for queue in self._times:
                queue.times.remove(at)
            self._times.clear()

    def refused(self, refusal: Limited) -> bool:
        """Notes a refusal. Whether the line is to be asked again, after `ready`."""
        self.refusals += 1
        seconds = UNKNOWN_S if refusal.retry_after_s is None else refusal.retry_after_s
        if seconds > MOST_WAIT_S:
            return False
        queue = self.limits.queue(self.line, refusal)
        earliest = self.limits.now() + seconds
        self._times[queue] = queue.next_time(earliest) if queue.places is None else earliest
        return self.refusals < MOST_REFUSALS

    def end(self) -> None:
        """Ends the line's use of its limits."""
        for places in self._places:
            places.release()
        self._places.clear()

    async def _take_places(self, queues: list[_Queue]) -> None:
        """Takes a place of each queue, all anew and in one order, so that no two lines wait for each other."""
        if len(queues) == len(self._places):
            return
        self.end()
        self.limits.count += 1
        try:
            for queue in sorted(queues, key=lambda queue: queue.limit.subject):
                assert queue.places is not None
                await queue.places.acquire()
                self._places.append(queue.places)
                self._times.pop(queue, None)  # another line of it has just ended
        finally:
            self.limits.count -= 1


def _groups(line: Line) -> list[tuple[Any, ...]]:
    return [_group(line, per) for per in ("tenant", "user", "session", "key")]


def _group(line: Line, per: str) -> tuple[Any, ...]:
    """What a line says of itself that decides whose limit is asked. The key is the same for all lines of a run."""
    said = line.data.get
    match per:
        case "tenant":
            return (per, str(said("tenant")))
        case "user":
            return (per, str(said("tenant")), str(said("user")))
        case "session":
            return (per, str(said("tenant")), str(said("user")), line.session or line.number)
        case _:
            return (per, str(said("tenant")))
