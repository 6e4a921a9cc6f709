"""Reads the records of a journal's folder in order, also while its writer appends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from victor_dsl.storage.journal.records import Damage, Record, scan
from victor_dsl.storage.journal.segments import START, Position, numbers, path_of


class Reader:
    """Reads on from a position. `damaged` counts the stretches that held no readable record."""

    def __init__(self, folder: Path, position: Position = START, *, live: bool = False) -> None:
        """`live` where the folder's writer may still append to it."""
        self.folder = folder
        self.position = position
        self.damaged = 0
        self._live = live

    def read(self, until: Position | None = None) -> Iterator[tuple[Position, bytes]]:
        """The records that follow, each with the position after it. Raises OSError.

        With `until`, all up to there was written before, and what follows is left for later: `position` is `until` at the end, also
        where the last stretch is damaged or missing.
        """
        for position, payload in self._records():
            if until is not None and position > until:
                break
            self.position = position
            if payload is not None:
                yield position, payload
        if until is not None and self.position < until:
            self.position = until
            self.damaged += 1

    def __iter__(self) -> Iterator[tuple[Position, bytes]]:
        """All records that follow."""
        return self.read()

    def _records(self) -> Iterator[tuple[Position, bytes | None]]:
        """The records, each with the position after it; None stands for damage, and for the end of a segment."""
        segments = [number for number in numbers(self.folder) if number >= self.position.segment]
        for place, number in enumerate(segments):
            start = self.position.offset if number == self.position.segment else 0
            last = place == len(segments) - 1
            grows = self._live and self._may_grow(
                segments, place
            )  # before reading: what is written meanwhile comes later
            try:
                data = path_of(self.folder, number).read_bytes()
            except FileNotFoundError:  # the writer has made room
                continue
            for part in scan(data, start, ends=not grows):
                if isinstance(part, Damage):
                    self.damaged += 1
                    yield Position(number, part.end), None
                elif isinstance(part, Record):
                    yield Position(number, part.end), part.payload
            if grows:
                return
            if not last:
                yield Position(segments[place + 1], 0), None

    def _may_grow(self, segments: list[int], place: int) -> bool:
        """Whether the writer may append to this segment: only an empty one, the reserve, lies behind it."""
        behind = segments[place + 1 :]
        return not any(_is_begun(path_of(self.folder, number)) for number in behind)


def _is_begun(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1) not in (b"", b"\0")
    except FileNotFoundError:
        return False
