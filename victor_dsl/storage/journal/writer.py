"""Appends records to the segments of a journal's folder."""

from __future__ import annotations

import errno
from collections import deque
from pathlib import Path

from victor_dsl.storage.journal.disk import Disk
from victor_dsl.storage.journal.records import framed
from victor_dsl.storage.journal.segments import Position, numbers, path_of

SEGMENT_BYTES = 1024 * 1024
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The errors of a disk without room. Others, such as a folder that was removed, do not pass when room is made."""


class Writer:
    """Appends to one folder, whose only writer it is. Every method may raise OSError.

    A segment is always in reserve, with its space on the disk: what is under way can be written where the disk is full. While there is no
    room for one, `is_full` is true.
    """

    def __init__(self, folder: Path, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._next = max(numbers(folder), default=0) + 1
        self._unsynced: list[int] = []
        """Descriptors of full segments that were not yet written through to the medium."""
        self._number, self._descriptor, self._size = self._next, -1, 0  # the first record goes to the reserve
        self._offset = 0
        self.position = Position(self._number, 0)
        """After the last record."""
        self._reserve: deque[tuple[int, int, int]] = deque()
        self._named = 0
        """The number of the latest segment whose name is on the medium."""
        self._is_closed = False
        self.is_full = False
        self.reserve()

    def append(self, payload: bytes) -> Position:
        """Appends a record; returns the position after it. Raises ValueError for one that is too long."""
        frame = framed(payload)
        end = self._offset + len(frame)
        if end > self._size:
            self._roll(len(frame))
            end = len(frame)
        self._disk.write(self._descriptor, frame, self._offset)
        self._offset = end
        self.position = position = Position(self._number, end)
        return position

    def reserve(self) -> bool:
        """Makes the segment in reserve if there is none; returns whether there is one now."""
        if not self._reserve:
            try:
                self._reserve.append(self._new(self._segment_bytes))
            except OSError as error:
                self.is_full = error.errno in FULL
                return False
        self.is_full = False
        return True

    def sync(self) -> None:
        """Waits until all that is appended is on the medium. Blocks; `append` may be called meanwhile, but not `close`."""
        current, newest = (
            self._descriptor,
            self._next - 1,
        )  # before the others: `append` may begin another segment at any time
        full, self._unsynced = self._unsynced, []
        try:
            for descriptor in full:
                self._disk.sync(descriptor)
            if current >= 0 and current not in full:
                self._disk.sync(current)
            if self._named < newest:
                self._disk.sync_folder(self._folder)
                self._disk.sync_folder(self._folder.parent)
                self._named = newest
        except BaseException:
            self._unsynced[:0] = full
            raise
        for descriptor in full:
            self._disk.close(descriptor)

    def free(self, before: Position) -> int:
        """Removes the segments that lie wholly before a position; returns how many."""
        gone = [number for number in numbers(self._folder) if number < min(before.segment, self._number)]
        for number in gone:
            self._disk.remove(path_of(self._folder, number))
        return len(gone)

    def close(self) -> None:
        """Closes the files, once. The space that holds no records is given back."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._descriptor >= 0:
            self._disk.cut(self._descriptor, self._offset)
            self._disk.close(self._descriptor)
        for descriptor in self._unsynced:
            self._disk.close(descriptor)
        self._remove_reserve()

    def _roll(self, size: int) -> None:
        """Goes on in another segment: in the reserve, or in one of its own for a record that is longer than a segment."""
        if size > self._segment_bytes:
            new = self._new(size + 1)
            self._remove_reserve()  # its number is smaller, and segments are written in order
        else:
            new = self._reserve.popleft() if self._reserve else self._new(self._segment_bytes)
        if self._descriptor >= 0:
            self._unsynced.append(self._descriptor)
        self._number, self._descriptor, self._size = new
        self._offset = 0
        self.reserve()

    def _remove_reserve(self) -> None:
        while self._reserve:
            number, descriptor, _ = self._reserve.pop()
            self._disk.close(descriptor)
            self._disk.remove(path_of(self._folder, number))

    def _new(self, size: int) -> tuple[int, int, int]:
        number = self._next
        descriptor = self._disk.create(path_of(self._folder, number), size)
        self._next = number + 1
        return number, descriptor, size
