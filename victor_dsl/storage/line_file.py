"""A file of JSON lines that several processes append to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType

import orjson

from victor_dsl.storage.permissions import make_private_folder

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows has none; there, each file must have one process
    fcntl = None

REMEMBERED = 65_536
"""How many ids of written lines are remembered, so that these are not written again."""
TAIL_BYTES = 4 * 1024 * 1024
"""How much of the file's end is searched for ids when it is opened."""


class LineFile:
    """A file of lines, private to its owner, that never ends in half a line.

    A file that lines would make longer than `most_bytes` is renamed to `PATH.1` before they are written, an older one to `PATH.2`,
    and so on; `keep` of these stay, and the oldest is removed.
    Not for several threads at once. Every method may raise OSError.
    """

    def __init__(self, path: str, *, fsync: bool = False, most_bytes: int | None = None, keep: int = 1) -> None:
        self._path = Path(path)
        self._fsync = fsync
        self._most_bytes = most_bytes
        self._keep = keep
        self._descriptor: int | None = None
        self._written: dict[str, None] = {}  # ordered, oldest first
        self._end = 0
        """The size of the file up to which the ids of its lines are remembered."""

    def open(self) -> None:
        """Opens the file, removes half a line at its end, and reads the ids of its last lines."""
        make_private_folder(self._path.parent)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        _lock(self._descriptor)
        try:
            if self._most_bytes is not None:
                self._remember_older()
            self._recover(self._descriptor)
        finally:
            _unlock(self._descriptor)

    def append(self, lines: Sequence[tuple[str, bytes]]) -> None:
        """Appends the lines, each with its id: all or none. Lines that were written before are skipped."""
        if all(id in self._written for id, _ in lines):
            self._current()
            return
        descriptor = self._locked()
        try:
            if os.fstat(descriptor).st_size != self._end:  # another process has written, or was killed while writing
                self._recover(descriptor, self._end)
            new = {id: line for id, line in lines if id not in self._written}
            end = os.fstat(descriptor).st_size
            if self._most_bytes is not None and 0 < end > self._most_bytes - sum(map(len, new.values())):
                self._rotate()
                _unlock(descriptor)
                descriptor = self._locked()
                end = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, b"".join(new.values()))
                if self._fsync:
                    os.fsync(descriptor)
            except BaseException:
                if os.fstat(descriptor).st_size > end:
                    os.ftruncate(descriptor, end)
                raise
            self._end = os.fstat(descriptor).st_size
        finally:
            _unlock(descriptor)
        self._remember(new)

    def close(self) -> None:
        """Closes the file, if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _rotate(self) -> None:
        """Renames the file and the older ones. Only who has locked the file does so."""
        for number in range(self._keep, 1, -1):
            try:
                os.replace(f"{self._path}.{number - 1}", f"{self._path}.{number}")
            except FileNotFoundError:
                continue
        os.replace(self._path, f"{self._path}.1")

    def _remember_older(self) -> None:
        """Remembers the ids of the last lines of the file before this one, which another process may have written and renamed."""
        try:
            older = os.open(f"{self._path}.1", os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            size = os.fstat(older).st_size
            lines = _read(older, max(0, size - TAIL_BYTES), min(size, TAIL_BYTES)).split(b"\n")
        finally:
            os.close(older)
        self._remember(id for id in map(_id, lines) if id is not None)

    def _locked(self) -> int:
        """The descriptor of the file, locked. Another process may have renamed the file before the lock was free."""
        while True:
            descriptor = self._current()
            _lock(descriptor)
            if self._is_current(descriptor):
                return descriptor
            _unlock(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        here = os.fstat(descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def _current(self) -> int:
        """The descriptor of the file that is at the path now; the old one may have been moved away."""
        if self._descriptor is not None:
            if self._is_current(self._descriptor):
                return self._descriptor
            self.close()
        self.open()
        assert self._descriptor is not None
        return self._descriptor

    def _recover(self, descriptor: int, known: int = 0) -> None:
        """Removes half a line at the end, and remembers the ids of the last lines; those before `known` are remembered already."""
        size = os.fstat(descriptor).st_size
        start = max(known if known <= size else 0, size - TAIL_BYTES)
        *lines, torn = _read(descriptor, start, size - start).split(b"\n")
        if torn:
            if _id(torn) is None and os.pread(descriptor, 1, 0) == b"{":  # else the file is another's, and stays whole
                os.ftruncate(descriptor, size - len(torn))
            else:
                _write_all(descriptor, b"\n")  # only its end is missing
                lines.append(torn)
        ids = map(_id, lines if start in (0, known) else lines[1:])
        self._remember(id for id in ids if id is not None)
        self._end = os.fstat(descriptor).st_size

    def _remember(self, ids: Iterable[str]) -> None:
        self._written.update(dict.fromkeys(ids))
        for id in list(islice(self._written, max(0, len(self._written) - REMEMBERED))):
            del self._written[id]


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
