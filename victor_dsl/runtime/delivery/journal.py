"""The journal of an open spec: what this process appends, and what others that died have left.

Events are on the local disk before the reply to their turn is given, so that a process that is killed loses none. Each exporter
reads on from its own cursor; what all have is removed.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from victor_dsl.errors import Refused
from victor_dsl.graph.plan import JournalPolicy
from victor_dsl.language.component import Clock
from victor_dsl.runtime.delivery.journal_records import TurnStart, decoded, encoded
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.journal import (
    Cursor,
    Disk,
    Folder,
    Position,
    Reader,
    Writer,
    cursors,
    numbers,
    own_folder,
    size_of,
    unlocked_folders,
)
from victor_dsl.values.event import Event, uuid7
from victor_dsl.values.message import NO_USAGE, Usage

NODE = "journal"
"""What reports about the journal name in the place of a node."""
BLOCK_SECONDS = 30.0
"""How long a turn waits for room (`when_full: block`) before it is refused."""
POLL_SECONDS = 0.05
USAGE = ("input_tokens", "output_tokens", "cost_usd", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
MOST_INTERRUPTED = 100_000
"""How many turns that another process had begun are remembered."""


class JournalFull(Refused):
    """The journal has no room for another turn."""

    code = "journal-full"


@define(eq=False)
class InterruptedTurn:
    """A turn that another process had begun when it died, and what it had recorded of it."""

    start: TurnStart
    counts: Counter[str] = field(factory=Counter)
    usage: Usage = NO_USAGE
    """The sum of its `model_call` events."""
    last: Event | None = None
    """The latest of its events."""

    def add(self, event: Event) -> None:
        """Counts an event that the turn has recorded."""
        self.counts[event.type] += 1
        self.last = event
        if event.type == "model_call":
            used: dict[str, Any] = {name: event.data.get(name) for name in USAGE}
            self.usage += Usage(**used)


class Feed:
    """What one exporter has yet to get from one folder of the journal. `position` is how far it has come."""

    def __init__(self, folder: Path, cursor: Cursor, *, live: bool) -> None:
        self.cursor = cursor
        self.position = cursor.position
        self.damaged = 0
        self.done = False
        """Whether all of a folder that another process has left was read and delivered."""
        self._folder = folder
        self._live = live
        self._is_held = False

    async def read(self, most: int, until: Position | None = None) -> tuple[list[Event], Position]:
        """The next events, and the position after them; none only at the end. A few more than `most` may come. Raises OSError."""
        return await asyncio.to_thread(self._read, most, until)

    def move(self, position: Position) -> None:
        """Goes on from a later position. Raises OSError."""
        self.position = max(self.position, position)
        if not self._is_held:
            self.cursor.move(self.position)

    def hold(self) -> None:
        """Stores no position until `release`: events before it are on their way still."""
        self._is_held = True

    def release(self) -> None:
        """Stores the position again. Raises OSError."""
        self._is_held = False
        self.cursor.move(self.position)

    def unread(self) -> int:
        """How many events follow. Raises OSError."""
        return len(self.read_now(None))

    def read_now(self, until: Position | None) -> list[Event]:
        """The events up to a position, or all. Blocks. Raises OSError."""
        return self._read(1 << 40, until)[0]

    def _read(self, most: int, until: Position | None) -> tuple[list[Event], Position]:
        reader = Reader(self._folder, self.position, live=self._live)
        events: list[Event] = []
        while len(events) < most and (found := reader.read(most - len(events), until)):
            for _, payload in found:
                if (records := decoded(payload)) is None:
                    reader.damaged += 1
                else:
                    events += [record for record in records if isinstance(record, Event)]
        self.damaged += reader.damaged
        return events, reader.position


@frozen
class LeftFolder:
    """The folder of a process that died, locked by this one, and the exporters that have not had all of it."""

    folder: Folder
    feeds: Mapping[str, Feed]
    interrupted: Sequence[InterruptedTurn]


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
        self._writer = Writer(self._folder.path, disk or Disk())
        self._feeds: dict[str, Feed] = {}
        self._begun: dict[str, Position] = {}
        """The turns that run, by the id of their `turn` event: the position before their start. The earliest first."""
        self._freed = 0
        self._checked = self._writer.position.segment
        self._is_over = False
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

    def drop_oldest(self) -> dict[str, int] | None:
        """Drops the oldest segment that is not being written; returns how many events each exporter loses by that.

        None where there is no such segment. Raises OSError.
        """
        oldest = min(numbers(self._folder.path))
        if oldest >= self.position.segment:
            return None
        behind = Position(oldest + 1, 0)
        lost: dict[str, int] = {}
        for exporter, feed in self._feeds.items():
            if feed.position < behind:
                lost[exporter] = len(feed.read_now(behind))
                feed.move(behind)
        self._writer.free(behind)
        self._measure()
        return lost

    def append(self, records: Sequence[Event | TurnStart]) -> list[Position]:
        """Appends the records; returns for each the position from which reading may go on once it and those before are delivered.

        Raises OSError.
        """
        writer = self._writer
        before = writer.position
        payloads = encoded(records)
        together = len(payloads) == 1
        positions = [writer.append(payload) for payload in payloads]
        after = positions[-1]
        if together:
            positions = [before] * len(records)
        last = 0
        for place, record in enumerate(records):
            if isinstance(record, TurnStart):
                self._begun[record.event_id] = before
            else:
                last = place
                if record.type == "turn":
                    self._begun.pop(record.id, None)
        positions[last] = after
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
            await asyncio.shield(self._syncing)

    async def adopt(self) -> list[LeftFolder]:
        """The folders of processes that have died, each once for all processes. Raises OSError."""
        return await asyncio.to_thread(self._adopt)

    async def close(self) -> bool:
        """Closes the files; removes the folder if every exporter has all of it, and returns whether that is so. Raises OSError."""
        return await to_the_end(asyncio.to_thread(self._close))

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
        if feed.cursor.position >= self.position:
            return False
        feed.position = feed.cursor.position
        return feed.unread() > 0

    async def _sync(self) -> None:
        position = self.position
        try:
            await asyncio.to_thread(self._writer.sync)
        finally:
            self._syncing = None
        self._synced = position

    def _measure(self) -> None:
        try:
            self._is_over = size_of(self.root) > self.policy.max_mb << 20
        except OSError:
            self._is_over = False

    def _still_full(self) -> bool:
        if self._writer.is_full:
            self._writer.reserve()
        if self._is_over:
            self._measure()
        return self.is_full

    def _adopt(self) -> list[LeftFolder]:
        return [_left(folder) for folder in unlocked_folders(self.root)]


def _left(folder: Folder) -> LeftFolder:
    """What a locked folder holds."""
    begun: dict[str, InterruptedTurn] = {}
    by_bits: dict[str, InterruptedTurn] = {}
    for record in (record for _, payload in Reader(folder.path) for record in decoded(payload) or ()):
        if isinstance(record, TurnStart):
            if len(begun) < MOST_INTERRUPTED:
                begun[record.event_id] = by_bits[_bits(record.event_id)] = InterruptedTurn(record)
        else:
            turn = by_bits.get(_bits(record.id))
            if turn is None:
                continue
            if record.type == "turn":
                begun.pop(record.id, None)
                by_bits.pop(_bits(record.id), None)
            else:
                turn.add(record)
    feeds = {name: Feed(folder.path, cursor, live=False) for name, cursor in cursors(folder.path).items()}
    return LeftFolder(folder, feeds, tuple(begun.values()))


def _bits(event_id: str) -> str:
    """What the ids of a turn's events share (see `event_ids`)."""
    return event_id[:13] + event_id[19:]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:80]
