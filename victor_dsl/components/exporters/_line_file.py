"""A file of lines that several processes append to, and that never ends in half a line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType

import orjson

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # not on Windows; there, one process to a file
    fcntl = None

REMEMBERED = 65_536
"""How many ids of written lines are remembered, and so not written again."""
TAIL_BYTES = 4 * 1024 * 1024
"""How much of the file's end is looked at for ids when it is opened."""


class LineFile:
    """The file, opened for appending. Not for several threads at once. Every method may raise OSError."""

    def __init__(self, path: str, *, fsync: bool) -> None:
        self._path = Path(path)
        self._fsync = fsync
        self._descriptor: int | None = None
        self._written: dict[str, None] = {}  # ordered, oldest first

    def open(self) -> None:
        """Opens the file, cuts off what a write that was killed left behind, and learns the ids near its end."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        _lock(self._descriptor)
        try:
            self._recover(self._descriptor)
        finally:
            _unlock(self._descriptor)

    def append(self, lines: Sequence[tuple[str, bytes]]) -> None:
        """Appends the lines, each with its id, all or none; those that are there already are left out."""
        descriptor = self._current()
        if all(id in self._written for id, _ in lines):
            return
        _lock(descriptor)
        try:
            if _is_torn(descriptor):  # by another process that was killed
                self._recover(descriptor)
            new = {id: line for id, line in lines if id not in self._written}
            end = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, b"".join(new.values()))
                if self._fsync:
                    os.fsync(descriptor)
            except BaseException:
                if os.fstat(descriptor).st_size > end:
                    os.ftruncate(descriptor, end)
                raise
        finally:
            _unlock(descriptor)
        self._remember(new)

    def close(self) -> None:
        """Closes the file, if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _current(self) -> int:
        """The file that stands at the path now: it may have been moved away."""
        if self._descriptor is not None:
            here = os.fstat(self._descriptor)
            try:
                there = self._path.stat()
            except FileNotFoundError:
                there = None
            if there is not None and (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                return self._descriptor
            self.close()
        self.open()
        assert self._descriptor is not None
        return self._descriptor

    def _recover(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        start = max(0, size - TAIL_BYTES)
        *lines, torn = _read(descriptor, start, size - start).split(b"\n")
        if torn:
            if _id(torn) is None:
                os.ftruncate(descriptor, size - len(torn))
            else:
                _write_all(descriptor, b"\n")  # whole, but for its end
                lines.append(torn)
        ids = (_id(line) for line in (lines[1:] if start else lines))
        self._remember(id for id in ids if id is not None)

    def _remember(self, ids: Iterable[str]) -> None:
        self._written.update(dict.fromkeys(ids))
        for id in list(islice(self._written, max(0, len(self._written) - REMEMBERED))):
            del self._written[id]


def _is_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _id(line: bytes) -> str | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    id = event.get("id") if isinstance(event, dict) else None
    return id if isinstance(id, str) else None


def _read(descriptor: int, start: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, start)):
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _unlock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
