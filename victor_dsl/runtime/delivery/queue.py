"""One exporter's bounded queue, and the task that empties it in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from victor_dsl.errors import StoreError
from victor_dsl.graph.plan import Node
from victor_dsl.language.component import Clock
from victor_dsl.language.kinds import Exporter
from victor_dsl.values.event import Event

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0


class ExporterQueue:
    """Takes events at once and hands them to the exporter in batches: when one is full, or after `flush_seconds`.

    A full queue drops its oldest events and counts them. A batch that the exporter cannot store is tried again, in all
    `ATTEMPTS` times with growing pauses; then it is dropped and counted too. `report` hears of each fault once.
    """

    def __init__(
        self,
        node: Node,
        exporter: Exporter,
        *,
        clock: Clock,
        random: Random,
        report: Callable[[str, str, Mapping[str, Any]], None],
    ) -> None:
        config: Any = node.config
        self.node = node.id
        self.dropped = 0
        self.delivered = 0
        self.exporter = exporter
        self._batch_size: int = config.batch_size
        self._flush_seconds: float = config.flush_seconds
        self._queue_size: int = config.queue_size
        self._clock = clock
        self._random = random
        self._report = report
        self._events: deque[Event] = deque()
        self._in_hand = 0
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many events are neither delivered nor dropped yet."""
        return len(self._events) + self._in_hand

    def put(self, event: Event) -> None:
        """Takes the event. Never waits, never raises."""
        events = self._events
        if len(events) >= self._queue_size:
            events.popleft()
            self._drop(1, f"the queue of {self._queue_size} events is full; the oldest are dropped")
        events.append(event)
        if not self._some.is_set():
            self._some.set()
        if len(events) >= self._batch_size and not self._full.is_set():
            self._full.set()

    def close(self) -> None:
        """Says that nothing more comes: `run` ends when all is delivered."""
        for event in (self._closed, self._some, self._full):
            event.set()

    async def run(self) -> None:
        """Delivers until the queue is closed and empty."""
        while self._events or not self._closed.is_set():
            await self._some.wait()
            if not self._full.is_set():
                await self._pause(self._flush_seconds, unless=self._full)
            await self._deliver(self._take())

    def _take(self) -> list[Event]:
        events = self._events
        batch = [events.popleft() for _ in range(min(len(events), self._batch_size))]
        self._in_hand = len(batch)
        if not self._closed.is_set():
            if not events:
                self._some.clear()
            if len(events) < self._batch_size:
                self._full.clear()
        return batch

    async def _deliver(self, batch: list[Event]) -> None:
        for attempt in range(ATTEMPTS):
            if not batch:
                break
            try:
                await self.exporter.export(batch)
            except StoreError as error:
                self._report(self.node, f"events are not stored yet: {error}", {"code": error.code})
                if attempt + 1 < ATTEMPTS:
                    await self._back_off(attempt)
            except Exception as error:  # noqa: BLE001 - a fault of the exporter; a second try would meet it again
                self._drop(len(batch), f"the exporter failed: {type(error).__name__}: {error}")
                break
            else:
                self.delivered += len(batch)
                break
        else:
            self._drop(len(batch), f"{ATTEMPTS} attempts to store events failed; they are dropped")
        self._in_hand = 0

    async def _back_off(self, attempt: int) -> None:
        """Full jitter (Brooker 2015, "Exponential Backoff and Jitter"); short once the queue is closed."""
        if self._closed.is_set():
            await self._clock.sleep(FIRST_PAUSE_SECONDS)
            return
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
        await self._pause(FIRST_PAUSE_SECONDS / 2 + self._random.random() * longest, unless=self._closed)

    async def _pause(self, seconds: float, *, unless: asyncio.Event) -> None:
        """Waits for the time or the event, whichever comes first."""
        waits = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(unless.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        self._report(self.node, reason, {"code": "dropped"})
