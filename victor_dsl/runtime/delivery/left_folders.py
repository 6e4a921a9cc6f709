"""The folders of processes that have died: their events are delivered, and the turns that they had begun are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from victor_dsl.runtime.delivery.feed import Feed
from victor_dsl.runtime.delivery.journal_records import TurnStart, decoded
from victor_dsl.storage.journal import Cursor, Folder, Position, Reader, cursors, trim, unlocked_folders
from victor_dsl.values.event import Event
from victor_dsl.values.message import NO_USAGE, Usage

USAGE = ("input_tokens", "output_tokens", "cost_usd", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
MOST_INTERRUPTED = 100_000
"""How many turns that another process had begun are remembered."""


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


@frozen
class LeftFolder:
    """The folder of a process that died, locked by this one, and the exporters that have not had all of it."""

    folder: Folder
    feeds: Mapping[str, Feed]
    interrupted: Sequence[InterruptedTurn]

    @property
    def is_delivered(self) -> bool:
        """Whether every exporter has all of it."""
        return all(feed.is_delivered for feed in self.feeds.values())

    def end(self) -> None:
        """Removes the folder where every exporter has all of it; else leaves it to the next one that adopts it. Raises OSError."""
        if self.is_delivered:
            for feed in self.feeds.values():
                feed.cursor.close()
            self.folder.remove()
        else:
            self.give_back()

    def give_back(self) -> None:
        """Leaves the folder to the next one that adopts it."""
        for feed in self.feeds.values():
            feed.cursor.close()
        self.folder.release()


def adopt(root: Path, most: int, faults: list[tuple[Path, OSError]]) -> list[LeftFolder]:
    """The folders of processes that have died, the oldest first; those that cannot be read go to `faults`. Raises OSError."""
    found: list[LeftFolder] = []
    if most <= 0:
        return found
    for folder in unlocked_folders(root, lambda path, error: faults.append((path, error))):
        try:
            found.append(_left(folder))
        except OSError as error:
            faults.append((folder.path, error))
            folder.release()
        if len(found) >= most:
            break
    return found


def _left(folder: Folder) -> LeftFolder:
    """What a locked folder holds. Raises OSError."""
    trim(folder.path)
    opened = cursors(folder.path)
    try:
        return _read(folder, opened)
    except BaseException:
        for cursor in opened.values():
            cursor.close()
        raise


def _read(folder: Folder, opened: Mapping[str, Cursor]) -> LeftFolder:
    begun: dict[str, InterruptedTurn] = {}
    by_bits: dict[str, InterruptedTurn] = {}
    feeds = {name: Feed(folder.path, cursor, live=False) for name, cursor in opened.items()}
    for position, record in _records(folder.path):
        if isinstance(record, TurnStart):
            if len(begun) < MOST_INTERRUPTED:
                begun[record.event_id] = by_bits[_bits(record.event_id)] = InterruptedTurn(record)
            continue
        for feed in feeds.values():
            feed.waiting += position > feed.position
        turn = by_bits.get(_bits(record.id))
        if turn is None:
            continue
        if record.type == "turn":
            begun.pop(record.id, None)
            by_bits.pop(_bits(record.id), None)
        else:
            turn.add(record)
    return LeftFolder(folder, feeds, tuple(begun.values()))


def _records(folder: Path) -> Iterator[tuple[Position, Event | TurnStart]]:
    """All records of a folder, each with the position after it. Raises OSError."""
    for position, payload in Reader(folder):
        for record in decoded(payload) or ():
            yield position, record


def _bits(event_id: str) -> str:
    """What the ids of a turn's events share (see `event_ids`)."""
    return event_id[:13] + event_id[19:]
