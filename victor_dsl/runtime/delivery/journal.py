"""The journal of an open spec: what this process appends, and what others that died have left.

Events are on the local disk before the reply to their turn is given, so that a process that is killed loses none. Each exporter
reads on from its own cursor; what all have is removed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from victor_dsl.errors import Refused
from victor_dsl.graph.plan import JournalPolicy
from victor_dsl.language.component import Clock
from victor_dsl.runtime.delivery.feed import Feed
from victor_dsl.runtime.delivery.journal_records import TurnStart, encoded
from victor_dsl.runtime.delivery.left_folders import LeftFolder, adopt
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.journal import (
    FRAME,
    Cursor,
    Disk,
    Position,
    Writer,
    numbers,
    own_folder,
    size_of,
)
from victor_dsl.values.event import Event, uuid7

NODE = "journal"
"""What reports about the journal name in the place of a node."""
BLOCK_SECONDS = 30.0
"""How long a turn waits for room (`when_full: block`) before it is refused."""
POLL_SECONDS = 0.05
MOST_LEFT = 100
"""How many folders of processes that died are adopted at a time: each has open files."""


class JournalFull(Refused):
    """The journal has no room for another turn."""

    code = "journal-full"


def journal_root(state: Path, name: str, file: str) -> Path:
    """Where the journal of a spec lies: specs that share a folder of state have one each."""
    return state / "journal" / f"{_slug(name)}.{_slug(Path(file).name)}"


class Journal:
    """The folder that this process appends to. Raises OSError when it cannot be made."""

    def __init__(self, root: Path, policy: JournalPolicy, clock: Clock, disk: Disk | None = None) -> None:
        self.root = root
        self.policy = policy
        self.dropped = 0
        self._clock = clock
        self._folder = own_folder(root, uuid7(clock.now()))
        try:
            self._writer = Writer(self._folder.path, disk or Disk())
        except BaseException:
            self._folder.remove()
            raise
        self._feeds: dict[str, Feed] = {}
        self._begun: dict[str, Position] = {}
        """The turns that run, by the id of their `turn` event: the position before their start. The earliest first."""
        self._freed = 0
        self._checked = self._writer.position.segment
        self._is_over = False
        self._looked = 0.0
        """When it was last looked whether there is room, in seconds of the machine's clock."""
        self.size = 0
        """The bytes of the journal of all processes, when they were last added up."""
        self._syncing: asyncio.Task[None] | None = None
        self._synced = self._writer.position

    @property
    def position(self) -> Position:
        """After the last record."""
        return self._writer.position

    def feed(self, exporter: str) -> Feed:
        """What the exporter has yet to get from this folder; a new one begins with the next record. Raises OSError."""
        if exporter not in self._feeds:
            cursor = Cursor(self._folder.path, exporter)
            cursor.move(self.position)
            self._feeds[exporter] = Feed(self._folder.path, cursor, live=True)
        return self._feeds[exporter]

    def drop_feed(self, exporter: str) -> None:
        """Waits no longer for an exporter that has left the spec."""
        if (feed := self._feeds.pop(exporter, None)) is not None:
            feed.cursor.remove()

    def drop_oldest(self, held: Mapping[str, Position]) -> dict[str, int] | None:
        """Drops the oldest segment that is not being written; returns how many events each exporter loses by that.

        `held` says up to where each has the events in memory. None where there is no such segment. Raises OSError.
        """
        oldest = min(numbers(self._folder.path), default=self.position.segment)
        if oldest >= self.position.segment:
            return None
        behind = Position(oldest + 1, 0)
        lost: dict[str, int] = {}
        for exporter, feed in self._feeds.items():
            if feed.position < behind:
                lost[exporter] = feed.count(held.get(exporter, feed.position), behind)
                feed.move(behind)
        self._writer.free(behind)
        self._measure()
        return lost

    def forget(self, records: Sequence[Event | TurnStart]) -> None:
        """Waits no longer for the ends of turns whose records could not be appended."""
        for record in records:
            if isinstance(record, Event) and record.type == "turn":
                self._begun.pop(record.id, None)

    def append(self, records: Sequence[Event | TurnStart]) -> list[Position]:
        """Appends the records; returns for each the position from which reading may go on once it and those before are delivered.

        Raises OSError.
        """
        writer = self._writer
        before = writer.position
        positions: list[Position] = []
        after = before
        for payload, count in encoded(records):
            after = writer.append(payload)
            if count == 1:
                positions.append(after)
            else:
                positions += _parts(after, len(payload), records[len(positions) : len(positions) + count])
        for record in records:
            if isinstance(record, TurnStart):
                self._begun[record.event_id] = before
            elif record.type == "turn":
                self._begun.pop(record.id, None)
        if after.segment != self._checked:
            self._checked = after.segment
            self._measure()
        return positions

    def moved(self) -> None:
        """Removes what no exporter needs any more; to be called when a cursor has moved."""
        needed = min((feed.cursor.position for feed in self._feeds.values()), default=self.position)
        if self._begun:
            needed = min(needed, next(iter(self._begun.values())))
        if needed.segment > self._freed:
            self._freed = needed.segment
            if self._writer.free(needed):
                self._measure()

    @property
    def is_full(self) -> bool:
        """Whether new turns have to wait: the disk is full, or the journal has its `max_mb`."""
        return self._is_over or self._writer.is_full

    async def wait_for_room(self, make_room: Callable[[], bool]) -> None:
        """Waits until a turn may begin, by the policy. `make_room` drops the oldest segment. Raises JournalFull."""
        waited = 0.0
        while self._still_full():
            if self.policy.when_full == "drop_oldest" and make_room():
                self._looked = 0.0
                continue
            if self.policy.when_full == "fail" or waited >= BLOCK_SECONDS:
                raise JournalFull(
                    "the journal of events is full, so that no further turn may begin",
                    hint="see why its exporters do not deliver, or raise journal.max_mb",
                )
            await self._clock.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    async def synced(self) -> None:
        """Waits until all that is appended is on the medium; turns that wait at the same time share one wait."""
        wanted = self.position
        while self._synced < wanted:
            if self._syncing is None:
                self._syncing = asyncio.create_task(self._sync(), name="sync of the journal")
                self._syncing.add_done_callback(_retrieved)
            await asyncio.shield(self._syncing)

    async def adopt(
        self, most: int = MOST_LEFT, failed: Callable[[Path, OSError], None] = lambda *_: None
    ) -> list[LeftFolder]:
        """The folders of processes that have died, each once for all processes, the oldest first. Raises OSError.

        `failed` takes those that cannot be read. A caller that is cancelled adopts none.
        """
        faults: list[tuple[Path, OSError]] = []
        work = asyncio.ensure_future(asyncio.to_thread(adopt, self.root, most, faults))
        try:
            found = await asyncio.shield(work)
        except asyncio.CancelledError:
            await to_the_end(_give_back(work))
            raise
        for path, error in faults:
            failed(path, error)
        return found

    async def close(self) -> bool:
        """Closes the files; removes the folder if every exporter has all of it, and returns whether that is so. Raises OSError."""
        return await to_the_end(self._end())

    async def discard(self) -> None:
        """Closes a journal that is not used."""
        self._feeds.clear()
        with suppress(OSError):
            await self.close()

    async def _end(self) -> bool:
        if self._syncing is not None:
            await asyncio.wait([self._syncing])
        return await asyncio.to_thread(self._close)

    def _close(self) -> bool:
        is_empty = not self._begun and not any(self._remains(feed) for feed in self._feeds.values())
        for feed in self._feeds.values():
            feed.cursor.close()
        self._writer.close()
        if is_empty:
            self._folder.remove()
        else:
            self._folder.release()
        return is_empty

    def _remains(self, feed: Feed) -> bool:
        return feed.cursor.position < self.position and feed.has_more()

    async def _sync(self) -> None:
        position = self.position
        try:
            await asyncio.to_thread(self._writer.sync)
        finally:
            self._syncing = None
        self._synced = position

    def _measure(self) -> None:
        try:
            self.size = size_of(self.root)
        except OSError:
            self.size = 0
        self._is_over = self.size > self.policy.max_mb << 20

    def _still_full(self) -> bool:
        """Whether it is full; looks at the disk once in `POLL_SECONDS`, however many turns wait."""
        now = time.monotonic()
        if now - self._looked >= POLL_SECONDS:
            self._looked = now
            if self._writer.is_full:
                self._writer.reserve()
            if self._is_over:
                self._measure()
        return self.is_full


async def _give_back(work: asyncio.Future[list[LeftFolder]]) -> None:
    for left in await work:
        left.give_back()


def _parts(after: Position, length: int, records: Sequence[Event | TurnStart]) -> list[Position]:
    """The positions after each of the records that are in one payload of that length."""
    segment, start = after.segment, after.offset - length - FRAME
    done, positions, last = 0, [], 0
    for place, record in enumerate(records):
        if record.__class__ is Event:
            done, last = done + 1, place
        positions.append(Position(segment, start, done))
    positions[last] = after
    return positions


def _retrieved(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # those who wait get it; asyncio logs an error that nobody retrieved


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:80]
