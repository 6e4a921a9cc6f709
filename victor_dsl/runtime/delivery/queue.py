"""One exporter's bounded queue, and the task that empties it in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, cast

from attrs import frozen

from victor_dsl.errors import StoreError
from victor_dsl.graph.plan import Node
from victor_dsl.language.boundary import internal_error, is_fault
from victor_dsl.language.component import Clock
from victor_dsl.language.config import ExporterConfig
from victor_dsl.language.kinds import Exporter
from victor_dsl.language.store_retries import pause_seconds
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.storing import RefusedEvent, store
from victor_dsl.values.event import Event

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0
CLOSING_ATTEMPTS = 3
"""How often a batch is tried once the queue is closed."""


@frozen
class QueueStatus:
    """The state of an exporter's delivery. `lag_s` is the age of the oldest waiting event, `fault` what delays it."""

    exporter: str
    waiting: int
    lag_s: float
    delivered: int
    retries: int
    put_aside: int
    dropped: int
    fault: str | None

    def as_json(self) -> dict[str, Any]:
        """The status as the dashboard gets it."""
        return {
            "exporter": self.exporter,
            "waiting": self.waiting,
            "lag_s": round(self.lag_s, 3),
            "delivered": self.delivered,
            "retries": self.retries,
            "put_aside": self.put_aside,
            "dropped": self.dropped,
            "fault": self.fault,
        }


class ExporterQueue:
    """Takes events at once and passes them to the exporter in batches: when one is full, or after `flush_seconds`.

    A full queue drops its oldest events and counts them. After a transient error a batch is tried again with growing
    pauses, for `retry_seconds`. What the exporter refuses, or does not store in that time, goes to the dead letters
    with the reason. Each error is reported once.
    """

    def __init__(
        self,
        node: Node,
        exporter: Exporter,
        *,
        letters: DeadLetters,
        clock: Clock,
        random: Random,
        report: Callable[[str, str, Mapping[str, Any]], None],
    ) -> None:
        config = cast("ExporterConfig", node.config)
        self.node = node.id
        self.dropped = 0
        self.delivered = 0
        self.retries = 0
        self.put_aside = 0
        self.fault: str | None = None
        self.exporter = exporter
        self.wants_contents = config.wants_contents()
        self._batch_size = config.batch_size
        self._flush_seconds = config.flush_seconds
        self._queue_size = config.queue_size
        self._retry_seconds = config.retry_seconds
        self._letters = letters
        self._clock = clock
        self._random = random
        self._report = report
        self._events: deque[Event] = deque()
        self._in_hand: list[Event] = []
        # `run` sleeps on `_some` while the queue is empty; `_full`, a whole batch, cuts the pause for more events short.
        # `put` appends first and sets them then, so that `run` finds what woke it. `_take` clears them by what it has
        # left, and not once the queue is closed: `run` would sleep on an empty queue for ever.
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many events are not yet delivered, put aside or dropped."""
        return len(self._events) + len(self._in_hand)

    def status(self) -> QueueStatus:
        """The present state of the delivery."""
        oldest = self._in_hand[0] if self._in_hand else self._events[0] if self._events else None
        return QueueStatus(
            exporter=self.node,
            waiting=self.waiting,
            lag_s=0.0 if oldest is None else max(0.0, self._clock.now() - oldest.timestamp),
            delivered=self.delivered,
            retries=self.retries,
            put_aside=self.put_aside,
            dropped=self.dropped,
            fault=self.fault,
        )

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
        """Lets `run` end when all is delivered; nothing more is put."""
        self._closed.set()  # before the others: they wake `run`, which looks for it
        self._some.set()
        self._full.set()

    async def run(self) -> None:
        """Delivers until the queue is closed and empty. An internal error is logged, and the batch is tried again."""
        failures = 0
        while self.waiting or not self._closed.is_set():
            try:
                await self._next_batch()
                failures = 0
            except BaseException as error:
                if not is_fault(error):
                    raise
                failures += 1
                self.fault = str(internal_error(error, self.node))
                if self._closed.is_set() and failures >= CLOSING_ATTEMPTS:
                    return
                await self._back_off(failures)

    async def _next_batch(self) -> None:
        if not self._in_hand:
            await self._some.wait()
            if not self._full.is_set():
                await self._pause(self._flush_seconds, unless=self._full)
            self._take()
        await self._deliver(self._in_hand)
        self._in_hand = []

    async def put_rest_aside(self) -> None:
        """Puts the waiting events into the dead letters, after `run` has ended."""
        rest = [*self._in_hand, *self._events]
        self._in_hand = []
        self._events.clear()
        reason = f"not delivered before the end: {self.fault or 'out of time'}"
        await self._put_aside([RefusedEvent(event, reason) for event in rest])

    def _take(self) -> None:
        events = self._events
        self._in_hand = [events.popleft() for _ in range(min(len(events), self._batch_size))]
        if not self._closed.is_set():
            if not events:
                self._some.clear()
            if len(events) < self._batch_size:
                self._full.clear()

    async def _deliver(self, batch: Sequence[Event]) -> None:
        if not batch:
            return
        last = self._clock.monotonic() + self._retry_seconds
        attempt = 0
        refused: Sequence[RefusedEvent] = ()
        while True:
            try:
                refused = await store(self.exporter, batch)
            except StoreError as error:
                self.fault = str(error)
                self._report(self.node, f"events could not be stored: {error}", {"code": error.code})
                attempt += 1
                if self._clock.monotonic() >= last or (self._closed.is_set() and attempt >= CLOSING_ATTEMPTS):
                    refused = [RefusedEvent(event, str(error)) for event in batch]
                    break
                await self._back_off(attempt)
                self.retries += 1
            else:
                self.fault = None
                break
        await self._put_aside(refused)
        self.delivered += len(batch) - len(refused)

    async def _put_aside(self, refused: Sequence[RefusedEvent]) -> None:
        if not refused:
            return
        try:
            await self._letters.put(self.node, refused, self._clock.now())
        except StoreError as error:
            self._drop(len(refused), f"events were dropped: delivery and the dead letters both failed: {error}")
        else:
            self.put_aside += len(refused)
            message = f"events are put aside (see 'victor dead-letters'): {refused[0].reason}"
            self._report(self.node, message, {"code": "put-aside"})

    async def _back_off(self, attempt: int) -> None:
        """Waits before the next try: with growing pauses, and a short one once the queue is closed."""
        if self._closed.is_set():
            await self._clock.sleep(FIRST_PAUSE_SECONDS)
            return
        seconds = pause_seconds(attempt, self._random, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        await self._pause(seconds, unless=self._closed)

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
