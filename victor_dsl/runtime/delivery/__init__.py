"""Delivers events to every exporter, each at its own pace: none delays another, or a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from attrs import evolve

from victor_dsl.language.boundary import describe, internal_error, is_fault
from victor_dsl.runtime.delivery.journal import MOST_LEFT, NODE, Journal
from victor_dsl.runtime.delivery.journal_records import TurnStart
from victor_dsl.runtime.delivery.left_folders import InterruptedTurn, LeftFolder
from victor_dsl.runtime.delivery.queue import ExporterQueue
from victor_dsl.values.event import Event

FLUSH_SECONDS = 10.0
"""How long closing waits for the events that are still queued."""
ENDING_SECONDS = 2.0
"""How long it then waits for exporters that were cancelled."""
ADOPT_SECONDS = 5.0
"""How often folders of processes that have died are looked for."""
SYNC_SECONDS = 1.0
"""How often the journal is written through to the medium (`fsync: interval`)."""


@runtime_checkable
class Watching(Protocol):
    """An exporter that shows the state of the delivery to all exporters."""

    def watch(self, statuses: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Takes a function that returns the current status of every exporter's queue."""
        ...


class Delivery:
    """The queues of all exporters and their tasks, from `open` to `close`, and the journal that serves them.

    Until `use` gives it a journal, events are kept in memory only. `interrupted` takes the turns that a process which died had begun,
    and that nobody repeats.
    """

    def __init__(
        self,
        queues: Sequence[ExporterQueue],
        *,
        report: Callable[[str, str, Mapping[str, Any]], None] = lambda *_: None,
        interrupted: Callable[[InterruptedTurn], None] = lambda _: None,
    ) -> None:
        self.queues = tuple(queues)
        self.journal: Journal | None = None
        self.wants_contents = any(queue.wants_contents for queue in self.queues)
        self.repeatable: dict[str, InterruptedTurn] = {}
        """Turns that a process which died had begun, by the id that their caller gave them: it will repeat them."""
        self._report = report
        self._interrupted = interrupted
        self.tasks: dict[ExporterQueue, asyncio.Task[None]] = {}
        self._keeping: list[asyncio.Task[None]] = []
        self._left: list[LeftFolder] = []
        self._buffer: list[Event | TurnStart] = []
        self._is_scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Starts a task for each exporter that has none."""
        self._start()

    async def use(self, journal: Journal) -> None:
        """Writes events into the journal from now on, and takes over what processes that died have left."""
        self.journal = journal
        self._loop = asyncio.get_running_loop()
        await self._adopt(journal)
        self._keeping = [
            asyncio.create_task(self._adopt_now_and_then(journal), name="adoption of journals"),
            asyncio.create_task(self._sync_now_and_then(journal), name="syncs of the journal"),
        ]

    def replace(self, queues: Sequence[ExporterQueue]) -> Delivery:
        """Delivers to these queues from now on. The other present ones go on in the returned delivery, to be closed."""
        self.flush()
        by_node = {queue.node: queue for queue in queues}
        leaving = _Leaving([queue for queue in self.queues if queue not in queues], self)
        for queue in leaving.queues:
            leaving.tasks[queue] = self.tasks.pop(queue)
            if self.journal is not None and queue.node in by_node:
                queue.hand_over(by_node[queue.node])
                leaving.replaced.add(queue)
        self.queues = tuple(queues)
        self.wants_contents = any(queue.wants_contents for queue in self.queues)
        self._start()
        return leaving

    def begin(self, start: TurnStart) -> None:
        """Writes that a turn begins."""
        if self.journal is not None:
            self._buffer.append(start)
            self._schedule()

    def put(self, event: Event) -> None:
        """Takes the event. It is in the journal after the next `flush`, at the latest when the event loop turns. Never waits, never raises."""
        if self.journal is None:
            self.put_in_memory(event)
        else:
            self._buffer.append(event)
            self._schedule()

    def put_in_memory(self, event: Event) -> None:
        """Queues the event for every exporter, past the journal."""
        plain = _plain(event)
        for queue in self.queues:
            queue.put(event if queue.wants_contents else plain)

    def flush(self) -> None:
        """Writes into the journal what was put; never raises."""
        self._is_scheduled = False
        records, self._buffer = self._buffer, []
        if self.journal is None or not records:
            return
        try:
            positions = self.journal.append(records)
        except (OSError, ValueError) as error:
            self.journal.forget(records)
            self._report(NODE, f"events are kept in memory only: {_reason(error)}", {"code": "journal"})
            for record in records:
                if isinstance(record, Event):
                    self.put_in_memory(record)
            return
        for record, position in zip(records, positions, strict=True):
            if record.__class__ is TurnStart:
                continue
            plain = _plain(record)  # type: ignore[arg-type]
            for queue in self.queues:
                queue.put(record if queue.wants_contents else plain, position)  # type: ignore[arg-type]

    def moved(self) -> None:
        """Removes what all exporters have; to be called when a cursor has moved."""
        if self.journal is not None:
            self.journal.moved()
        for left in [left for left in self._left if left.is_delivered]:
            self._left.remove(left)
            self._end_left(left)

    async def wait_for_room(self) -> None:
        """Waits until the journal has room for another turn. Raises JournalFull."""
        if self.journal is not None and self.journal.is_full:
            await self.journal.wait_for_room(self._drop_oldest)

    async def synced(self) -> None:
        """Waits until what is in the journal is on the medium, where the spec asks for that (`fsync: always`)."""
        if self.journal is not None and self.journal.policy.fsync == "always":
            try:
                await self.journal.synced()
            except OSError as error:
                self._report(NODE, f"the journal cannot be written through: {_reason(error)}", {"code": "journal"})

    def statuses(self) -> list[dict[str, Any]]:
        """The status of the delivery to each exporter."""
        return [queue.status().as_json() for queue in self.queues]

    async def close(self) -> dict[str, int]:
        """Delivers what is queued, for `FLUSH_SECONDS`. What is left stays in the journal; without one it becomes dead letters.

        Returns how many events each exporter has lost altogether.
        """
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self.flush()
        for queue in self.queues:
            queue.close()
        late = await _end(self.tasks)
        self.tasks = {}
        self.flush()
        # Putting events aside is reported, and a report is an event for every exporter. Those that work get it in a
        # second run; for the others it goes to the dead letters, too, or closing would wait for them again.
        working = [queue for queue in self.queues if queue.fault is None and queue not in late]
        for queue in self.queues:
            if queue not in working:
                await self._put_rest_aside(queue)
        self.flush()
        await _end({queue: asyncio.create_task(queue.run(), name=f"delivery to {queue.node}") for queue in working})
        for queue in [*self.queues, *self.queues]:  # twice, for the reports that the first time makes
            await self._put_rest_aside(queue)
            self.flush()
        await self._close_journal()
        return {queue.node: queue.dropped for queue in self.queues if queue.dropped}

    async def _put_rest_aside(self, queue: ExporterQueue) -> None:
        await queue.put_rest_aside()

    async def _close_journal(self) -> None:
        for left in self._left:
            self._end_left(left)
        self._left = []
        if self.journal is not None:
            try:
                await self.journal.close()
            except OSError as error:
                self._report(NODE, f"the journal cannot be closed: {_reason(error)}", {"code": "journal"})
            self.journal = None

    def _start(self) -> None:
        for queue in self.queues:
            if queue not in self.tasks:
                self.tasks[queue] = asyncio.create_task(queue.run(), name=f"delivery to {queue.node}")
                if isinstance(queue.exporter, Watching):
                    try:
                        queue.exporter.watch(self.statuses)
                    except BaseException as error:
                        if not is_fault(error):
                            raise
                        internal_error(error, queue.node)  # logged; it takes events all the same

    def _schedule(self) -> None:
        if not self._is_scheduled and self._loop is not None:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)

    async def _adopt_now_and_then(self, journal: Journal) -> None:
        while True:
            await asyncio.sleep(ADOPT_SECONDS)
            await self._adopt(journal)

    async def _sync_now_and_then(self, journal: Journal) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await journal.synced()
            except OSError as error:
                self._report(NODE, f"the journal cannot be written through: {_reason(error)}", {"code": "journal"})

    async def _adopt(self, journal: Journal) -> None:
        try:
            found = await journal.adopt(MOST_LEFT - len(self._left), self._tell_unreadable)
        except OSError as error:
            self._report(NODE, f"what other processes have left cannot be read: {_reason(error)}", {"code": "journal"})
            return
        by_node = {queue.node: queue for queue in self.queues}
        for left in found:
            self._left.append(left)
            for turn in left.interrupted:
                if turn.start.resumable:
                    self.repeatable[turn.start.turn_id] = turn
                else:
                    self._interrupted(turn)
            for node, feed in left.feeds.items():
                if node in by_node:
                    by_node[node].add_left(feed)
                else:
                    feed.done = True
                    if feed.waiting:
                        message = f"events for {node}, which the spec no longer has, are dropped: {feed.waiting}"
                        self._report(NODE, message, {"code": "dropped"})
        self.flush()
        self.moved()

    def _tell_unreadable(self, folder: Path, error: OSError) -> None:
        message = f"the folder '{folder.name}' of the journal cannot be read: {_reason(error)}"
        self._report(NODE, message, {"code": "journal"})

    def _end_left(self, left: LeftFolder) -> None:
        try:
            left.end()
        except OSError as error:
            self._report(NODE, f"an old folder of the journal cannot be removed: {_reason(error)}", {"code": "journal"})

    def _drop_oldest(self) -> bool:
        """Drops the oldest events of the journal; returns whether there were any that could be dropped."""
        assert self.journal is not None
        try:
            for left in self._left:
                for queue in self.queues:
                    if (feed := left.feeds.get(queue.node)) is not None:
                        queue.abandon(feed)
                        feed.done = True
                self.moved()
                return True
            lost = self.journal.drop_oldest({q.node: q.held for q in self.queues if q.held is not None})
        except OSError as error:
            self._report(NODE, f"no room can be made in the journal: {_reason(error)}", {"code": "journal"})
            return False
        for queue in self.queues:
            queue.skip((lost or {}).get(queue.node, 0))
        return lost is not None


class _Leaving(Delivery):
    """Queues of exporters that have left the spec: what they do not deliver becomes dead letters.

    Those in `replaced` have left what they had not begun to the exporter that took their place.
    """

    def __init__(self, queues: Sequence[ExporterQueue], present: Delivery) -> None:
        super().__init__(queues)
        self.journal = present.journal
        self._present = present
        self.replaced: set[ExporterQueue] = set()

    def flush(self) -> None:
        """Nothing is put here."""

    async def _put_rest_aside(self, queue: ExporterQueue) -> None:
        if queue in self.replaced:
            await queue.put_rest_aside()
            queue.release()
        else:
            await queue.put_all_aside()

    async def _close_journal(self) -> None:
        if self.journal is not None:
            came_back = {queue.node for queue in self._present.queues}
            for queue in self.queues:
                if queue not in self.replaced and queue.node not in came_back:
                    self.journal.drop_feed(queue.node)
            self.journal.moved()


def _plain(event: Event) -> Event:
    return event if event.contents is None else evolve(event, contents=None)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else describe(error)


async def _end(tasks: Mapping[ExporterQueue, asyncio.Task[None]]) -> set[ExporterQueue]:
    """Waits `FLUSH_SECONDS` for the tasks to end, cancels the late ones, and returns the queues of those.

    An exporter that ignores its cancellation is left to itself.
    """
    if not tasks:
        return set()
    ended, late = await asyncio.wait(tasks.values(), timeout=FLUSH_SECONDS)
    for task in late:
        task.cancel()
    if late:
        ended |= (await asyncio.wait(late, timeout=ENDING_SECONDS))[0]
    await asyncio.gather(*ended, return_exceptions=True)
    return {queue for queue, task in tasks.items() if task in late}
