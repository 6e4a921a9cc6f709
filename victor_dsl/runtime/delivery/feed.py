"""What one exporter has yet to get from one folder of the journal."""

from __future__ import annotations

import asyncio
from pathlib import Path

from victor_dsl.runtime.delivery.journal_records import decoded
from victor_dsl.storage.journal import FRAME, Cursor, Position, Reader
from victor_dsl.values.event import Event


class Feed:
    """What one exporter has yet to get from one folder of the journal. `position` is how far it has come."""

    def __init__(self, folder: Path, cursor: Cursor, *, live: bool) -> None:
        self.cursor = cursor
        self.position = cursor.position
        self.damaged = 0
        self.waiting = 0
        """How many events of a folder that another process has left are not delivered."""
        self.done = False
        """Whether all of that folder was read."""
        self._folder = folder
        self._live = live
        self._holds = 0

    @property
    def is_delivered(self) -> bool:
        """Whether all of a folder that another process has left was read, and none of it is on its way."""
        return self.done and not self._holds

    async def read(self, most: int, until: Position | None = None) -> tuple[list[Event], Position]:
        """The next events, at most so many, and the position after them; none only at the end. Raises OSError."""
        events, position, damaged = await asyncio.to_thread(self._read, most, until)
        self.damaged += damaged
        return events, position

    def move(self, position: Position) -> None:
        """Goes on from a later position. Raises OSError."""
        self.position = max(self.position, position)
        if not self._holds:
            self.cursor.move(self.position)

    def hold(self, position: Position) -> None:
        """Goes on from a position without storing it before `release`: events before it are on their way still."""
        self._holds += 1
        self.position = max(self.position, position)

    def release(self) -> None:
        """Ends one `hold`; after the last one the position is stored again. Raises OSError."""
        self._holds -= 1
        if not self._holds:
            self.cursor.move(self.position)

    def has_more(self) -> bool:
        """Whether events follow the stored position. Blocks. Raises OSError."""
        self.position = self.cursor.position
        return bool(self._read(1, None)[0])

    def count(self, after: Position, until: Position) -> int:
        """How many events lie between two positions. Blocks. Raises OSError."""
        between = Reader(self._folder, max(after, self.position), live=self._live).read(until)
        return sum(isinstance(record, Event) for _, payload in between for record in decoded(payload) or ())

    def _read(self, most: int, until: Position | None) -> tuple[list[Event], Position, int]:
        reader = Reader(self._folder, self.position, live=self._live)
        events: list[Event] = []
        undecodable = 0
        for end, payload in reader.read(until):
            if (records := decoded(payload)) is None:
                undecodable += 1
                continue
            together = [record for record in records if isinstance(record, Event)]
            start = Position(end.segment, end.offset - len(payload) - FRAME)
            done = self.position.done if start == self.position._replace(done=0) else 0
            taken = together[done : done + most - len(events)]
            events += taken
            done += len(taken)
            if done < len(together):
                return events, start._replace(done=done), reader.damaged + undecodable
            if len(events) >= most:
                break
        return events, reader.position, reader.damaged + undecodable
