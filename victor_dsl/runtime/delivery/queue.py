"""One exporter's bounded queue, and the task that empties it in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from random import Random
from typing import Any, cast

from attrs import evolve, frozen

from victor_dsl.errors import StoreError
from victor_dsl.graph.plan import Node
from victor_dsl.language.boundary import internal_error, is_fault
from victor_dsl.language.component import Clock
from victor_dsl.language.config import ExporterConfig
from victor_dsl.language.kinds import Exporter
from victor_dsl.language.store_retries import pause_seconds
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.feed import Feed
from victor_dsl.runtime.delivery.storing import RefusedEvent, store
from victor_dsl.runtime.delivery.users import as_they_are
from victor_dsl.storage.journal import Position
from victor_dsl.values.event import Event

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0
CLOSING_ATTEMPTS = 3
"""How often a batch is tried once the queue is closed."""
RETRY_SECONDS = 300.0
"""How long a batch is tried again where there is no journal, and the Config does not say it."""


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

    With a `feed`, events come from the journal: those that find the queue full are read from there later, and those that are not
    delivered at the end stay there. Beside them, at most `queue_size` events are kept that are in no journal; more are dropped and
    counted. Without a feed, events that find the queue full push out the oldest. After a transient error a batch is tried again with growing pauses, for `retry_seconds`. What the exporter refuses, or does not
    store in that time, goes to the dead letters with the reason. Each error is reported once.
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
        feed: Feed | None = None,
        moved: Callable[[], None] = lambda: None,
        users: Callable[[Event], Event] = as_they_are,
    ) -> None:
        """`moved` is called when the feed's cursor has moved; `users` makes pseudonyms of users, and may raise OSError."""
        config = cast("ExporterConfig", node.config)
        self.node = node.id
        self.dropped = 0
        self.delivered = 0
        self.retries = 0
        self.put_aside = 0
        self.left_behind = 0
        """How many events stay in the journal after the end."""
        self.fault: str | None = None
        self.exporter = exporter
        self.wants_contents = config.wants_contents()
        self._batch_size = config.batch_size
        self._flush_seconds = config.flush_seconds
        self._queue_size = config.queue_size
        self._retry_default = config.retry_seconds is None
        kept = RETRY_SECONDS if feed is None else inf
        self._retry_seconds = kept if config.retry_seconds is None else config.retry_seconds
        self._letters = letters
        self._clock = clock
        self._random = random
        self._report = report
        self._feed = feed
        self._moved = moved
        self._users = users
        self._events: deque[tuple[Event, Position | None]] = deque()
        self._loose = 0
        """How many of them are in no journal, though the others are."""
        self._latest = inf
        """The time of the event that was delivered last."""
        self._holding: Feed | None = None
        self._is_replaced = False
        self._unread = 0
        """How many events are in the journal and were not taken into the queue."""
        self._end: Position | None = None
        """The position after the last event that is in the journal."""
        self._left: deque[Feed] = deque()
        """What other processes have left."""
        self._in_hand: list[Event] = []
        self._hand_from: tuple[Feed, Position] | None = None
        """The feed that the events in hand came from, and the position after them."""
        # `run` sleeps on `_some` while the queue is empty; `_full`, a whole batch, cuts the pause for more events short.
        # `put` appends first and sets them then, so that `run` finds what woke it. `_take` clears them by what it has
        # left, and not once the queue is closed: `run` would sleep on an empty queue for ever.
        self._some = asyncio.Event()
        self._full = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many events are not yet delivered, put aside or dropped. Each folder that other processes have left counts as one at least."""
        left = sum(max(1, feed.waiting) for feed in self._left)
        return len(self._events) + self._unread + len(self._in_hand) + left

    @property
    def held(self) -> Position | None:
        """Up to where the events of the journal are in memory; None if there are none."""
        for _, position in reversed(self._events):
            if position is not None:
                return position
        return None if self._hand_from is None or self._hand_from[0] is not self._feed else self._hand_from[1]

    def status(self) -> QueueStatus:
        """The present state of the delivery."""
        since = inf
        if self._in_hand:
            since = self._in_hand[0].timestamp
        elif self._events:
            since = self._events[0][0].timestamp
        elif self._unread:
            since = self._latest
        return QueueStatus(
            exporter=self.node,
            waiting=self.waiting,
            lag_s=max(0.0, self._clock.now() - since),
            delivered=self.delivered,
            retries=self.retries,
            put_aside=self.put_aside,
            dropped=self.dropped,
            fault=self.fault,
        )

    def put(self, event: Event, position: Position | None = None) -> None:
        """Takes the event, which is in the journal before that position. Never waits, never raises."""
        events = self._events
        if self._feed is None:
            if len(events) >= self._queue_size:
                events.popleft()
                self._drop(1, f"the queue of {self._queue_size} events is full; the oldest are dropped")
            events.append((event, None))
        elif position is None:
            if self._loose >= self._queue_size:
                self._drop(1, f"{self._queue_size} events are queued that are not in the journal; more are dropped")
                return
            self._loose += 1
            events.append((event, None))
        else:
            self._end = position
            if self._unread or len(events) >= self._queue_size + self._loose:
                self._unread += 1
            else:
                events.append((event, position))
        if not self._some.is_set():
            self._some.set()
        if len(events) >= self._batch_size and not self._full.is_set():
            self._full.set()

    def use(self, feed: Feed) -> None:
        """From now on events come from the journal."""
        if self._feed is None:
            self._feed = feed
            self._loose = len(self._events)
            if self._retry_default:
                self._retry_seconds = inf

    def add_left(self, feed: Feed) -> None:
        """Delivers what another process has left, too."""
        self._left.append(feed)
        self._some.set()

    def skip(self, lost: int) -> None:
        """Counts events that were dropped from the journal; those in the queue or in hand are delivered all the same."""
        lost = min(lost, self._unread)
        if lost:
            self._unread -= lost
            self._drop(lost, "the journal is full; its oldest events are dropped")

    def abandon(self, feed: Feed) -> None:
        """Drops and counts what another process has left."""
        if feed in self._left:
            self._left.remove(feed)
            self._drop(feed.waiting, "the journal is full; its oldest events are dropped")

    def hand_over(self, other: ExporterQueue) -> None:
        """Gives all but the batch in hand to the queue of the exporter that takes this one's place under the same name."""
        other._events.extend(self._events)
        other._loose += sum(position is None for _, position in self._events)
        other._latest = self._latest
        other._unread += self._unread
        other._end = self._end
        other._left.extend(self._left)
        self._events.clear()
        self._left.clear()
        self._unread = self._loose = 0
        self._is_replaced = True
        if other.waiting:
            other._some.set()
        if self._hand_from is not None:
            self._holding, position = self._hand_from
            self._holding.hold(position)

    def release(self) -> None:
        """After `run` has ended: lets the exporter that took this one's place store its position again."""
        if self._holding is not None:
            feed, self._holding = self._holding, None
            self._store(feed.release)

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
                if not await self._next_batch():
                    return  # it is closed, and the rest stays in the journal
                failures = 0
            except BaseException as error:
                if not is_fault(error):
                    raise
                failures += 1
                self.fault = str(internal_error(error, self.node))
                if self._closed.is_set() and failures >= CLOSING_ATTEMPTS:
                    return
                await self._back_off(failures)

    async def _next_batch(self) -> bool:
        """Delivers one batch; returns false where it has to stay in the journal."""
        if not self._in_hand:
            await self._some.wait()
            if not self._full.is_set() and not self._left:
                await self._pause(self._flush_seconds, unless=self._full)
            await self._take()
            self._in_hand = self._with_users(self._in_hand)
        if not await self._deliver(self._in_hand):
            return False
        self._in_hand = []
        if self._hand_from is not None:
            feed, position = self._hand_from
            self._hand_from = None
            self._store(partial(feed.move, position))
        return True

    def _store(self, move: Callable[[], None]) -> None:
        """Stores the position of a feed. Where that fails, events may be sent again after a restart."""
        try:
            move()
        except OSError as error:
            message = f"the position in the journal cannot be stored: {error.strerror or error}"
            self._report(self.node, message, {"code": "journal"})
        self._moved()

    async def put_rest_aside(self) -> None:
        """Puts the waiting events into the dead letters, after `run` has ended; those in the journal stay there."""
        stays = self._hand_from is not None and self._holding is None
        rest = [] if stays else list(self._in_hand)
        rest += self._with_users([event for event, position in self._events if position is None])
        self.left_behind += self.waiting - len(rest)
        self._unread = 0
        self._in_hand = []
        self._hand_from = None
        self._events.clear()
        reason = f"not delivered before the end: {self.fault or 'out of time'}"
        await self._put_aside([RefusedEvent(event, reason) for event in rest])

    async def put_all_aside(self) -> None:
        """Puts all waiting events into the dead letters, those in the journal, too: their exporter has left the spec."""
        await self.put_rest_aside()
        self.left_behind = 0
        reason = f"not delivered before the exporter left the spec: {self.fault or 'out of time'}"
        own = [] if self._feed is None or self._end is None else [(self._feed, self._end)]
        for feed, end in [*own, *((feed, None) for feed in self._left)]:
            while True:
                events, position = await feed.read(self._batch_size, end)
                await self._put_aside([RefusedEvent(event, reason) for event in self._with_users(events)])
                if not events:
                    feed.done = end is None
                self._store(partial(feed.move, position))
                if not events:
                    break
        self._left.clear()

    async def _take(self) -> None:
        """Takes the next events in hand: those in the queue, then those in the journal only, then those that others have left."""
        if self._events:
            self._take_queued()
        elif self._unread and self._feed is not None and self._end is not None:
            events, position = await self._feed.read(self._batch_size, self._end)
            self._tell_damage(self._feed)
            if not self._is_replaced:  # meanwhile; else the other exporter reads them
                self._in_hand = events
                self._hand_from = self._feed, position
                self._unread = 0 if position >= self._end else max(1, self._unread - len(events))
        elif self._left:
            feed = self._left[0]
            events, position = await feed.read(self._batch_size)
            self._tell_damage(feed)
            if self._left and self._left[0] is feed:  # else it was dropped meanwhile, or another exporter reads it
                self._in_hand = events
                self._hand_from = feed, position
                feed.waiting = max(0, feed.waiting - len(events))
                if not events:
                    feed.done = True
                    self._left.popleft()
        if not self._closed.is_set():
            if not self._events and not self._unread and not self._left:
                self._some.clear()
            if len(self._events) < self._batch_size and not self._unread:
                self._full.clear()

    def _with_users(self, events: list[Event]) -> list[Event]:
        """The events as the exporter may see them; without users where there is no key for their pseudonyms."""
        try:
            return [self._users(event) for event in events]
        except OSError as error:
            message = f"events have no users, as the key of their pseudonyms cannot be read: {error.strerror or error}"
            self._report(self.node, message, {"code": "user-key"})
            return [evolve(event, user=None) for event in events]

    def _take_queued(self) -> None:
        events = self._events
        taken = [events.popleft() for _ in range(min(len(events), self._batch_size))]
        self._in_hand = [event for event, _ in taken]
        if self._loose:
            self._loose -= sum(position is None for _, position in taken)
        positions = [position for _, position in taken if position is not None]
        if positions and self._feed is not None:
            self._hand_from = self._feed, positions[-1]

    async def _deliver(self, batch: Sequence[Event]) -> bool:
        """Delivers the events, or puts aside what cannot be; returns false where they have to stay in the journal."""
        if not batch:
            return True
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
                is_late = self._closed.is_set() and attempt >= CLOSING_ATTEMPTS
                if is_late and self._hand_from is not None:
                    return False
                if is_late or self._clock.monotonic() >= last:
                    refused = [RefusedEvent(event, str(error)) for event in batch]
                    break
                await self._back_off(attempt)
                self.retries += 1
            else:
                self.fault = None
                break
        await self._put_aside(refused)
        self.delivered += len(batch) - len(refused)
        self._latest = batch[-1].timestamp
        return True

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

    def _tell_damage(self, feed: Feed) -> None:
        if feed.damaged:
            message = f"stretches of the journal that were damaged, and are skipped: {feed.damaged}"
            self._report(self.node, message, {"code": "damaged"})
            feed.damaged = 0

    def _drop(self, count: int, reason: str) -> None:
        self.dropped += count
        self._report(self.node, reason, {"code": "dropped"})
