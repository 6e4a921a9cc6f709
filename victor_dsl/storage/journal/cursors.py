"""How far each reader of a journal's folder has come, in a small file for each.

The file has two slots, which are written in turn. A slot that a kill has torn does not match its checksum, and then the other one
counts: the reader reads a little again. Positions only grow, so the larger one is the newer one.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote
from zlib import crc32

from victor_dsl.storage.journal.segments import START, Position

SUFFIX = ".cursor"
SLOT = 34
"""`segment offset done checksum\\n`, in hexadecimal digits: 8, 9, 5 and 8."""


class Cursor:
    """The position of one reader. Every method may raise OSError."""

    def __init__(self, folder: Path, reader: str) -> None:
        self.reader = reader
        self.path = folder / f"{quote(reader, safe='')}{SUFFIX}"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        slots = [_position(os.pread(self._descriptor, SLOT, number * SLOT)) for number in (0, 1)]
        self.position = max(slots)
        self._slot = int(slots[0] >= slots[1])

    def move(self, position: Position) -> None:
        """Stores a later position; once the file is closed, nothing."""
        if position > self.position and self._descriptor >= 0:
            os.pwrite(self._descriptor, _slot(position), self._slot * SLOT)
            self.position = position
            self._slot = 1 - self._slot

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Closes and removes the file: the folder waits for this reader no longer."""
        self.close()
        self.path.unlink(missing_ok=True)


def cursors(folder: Path) -> dict[str, Cursor]:
    """The cursors that a folder has, by reader. Raises OSError."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix == SUFFIX)
    return {reader: Cursor(folder, reader) for reader in (unquote(name[: -len(SUFFIX)]) for name in names)}


def _slot(position: Position) -> bytes:
    place = b"%08x %09x %05x" % position
    return b"%b %08x\n" % (place, crc32(place))


def _position(slot: bytes) -> Position:
    place, checksum = slot[:24], slot[25:33]
    try:
        if crc32(place) == int(checksum, 16):
            return Position(int(place[:8], 16), int(place[9:18], 16), int(place[19:], 16))
    except ValueError:
        pass
    return START
