"""The exporter that appends events to a JSON Lines file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Annotated

import orjson
from pydantic import Field

from victor_dsl.components.event_lines import json_line, line_exporter
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, FilePath
from victor_dsl.language.kinds import Exporter
from victor_dsl.storage.file_value import reason
from victor_dsl.storage.permissions import make_private_folder
from victor_dsl.values.event import Event

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows has none; there, each file must have one process
    fcntl = None

REMEMBERED = 65_536
"""How many ids of written events are remembered, so that these are not written again."""
TAIL_BYTES = 4 * 1024 * 1024
"""How much of the file's end is searched for ids when it is opened."""


class Config(ExporterConfig):
    """Appends events to a file, one JSON object per line, as `schemas/event.schema.json` describes them.

    A batch is written whole or not at all, and an event that is exported again after a failure is not written twice. A
    missing file is created, readable by its owner only; when the file is moved away (log rotation), a new one is created.
    Several processes may append to one file.
    """

    path: Annotated[str, FilePath()] = Field(
        description="The file, relative to the spec. Missing folders are created.", examples=[".victor/events.jsonl"]
    )
    fsync: bool = Field(
        False,
        description="Whether each batch is forced onto the disk, so that it survives a power cut. By default it survives "
        "only the end of the process.",
    )


EXAMPLE = "{type: jsonl, path: .victor/events.jsonl}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; entering it opens the file."""
    return line_exporter(JsonLines(config.path, context, fsync=config.fsync), context.node)


class JsonLines:
    """A JSON Lines file of events."""

    def __init__(self, path: str, context: Context, *, fsync: bool) -> None:
        self._node = context.node
        self._shown = context.shown(path)
        self._file = LineFile(path, fsync=fsync)

    def open(self) -> None:
        self._do(self._file.open)

    def write(self, events: Sequence[Event]) -> None:
        self._do(lambda: self._file.append([(event.id, json_line(event)) for event in events]))

    def close(self) -> None:
        self._file.close()

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            message = f"cannot write '{self._shown}': {reason(error)}"
            raise StoreError(message, node=self._node, transient=True) from error


class LineFile:
    """A file of lines that several processes append to, and that never ends in half a line.

    Not for several threads at once. Every method may raise OSError.
    """

    def __init__(self, path: str, *, fsync: bool) -> None:
        self._path = Path(path)
        self._fsync = fsync
        self._descriptor: int | None = None
        self._written: dict[str, None] = {}  # ordered, oldest first

    def open(self) -> None:
        """Opens the file, removes half a line at its end, and reads the ids of its last lines."""
        make_private_folder(self._path.parent)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        _lock(self._descriptor)
        try:
            self._recover(self._descriptor)
        finally:
            _unlock(self._descriptor)

    def append(self, lines: Sequence[tuple[str, bytes]]) -> None:
        """Appends the lines, each with its id: all or none. Lines that were written before are skipped."""
        descriptor = self._current()
        if all(id in self._written for id, _ in lines):
            return
        _lock(descriptor)
        try:
            if _is_torn(descriptor):  # another process was killed while writing
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
        """The descriptor of the file that is at the path now; the old one may have been moved away."""
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
                _write_all(descriptor, b"\n")  # only its end is missing
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
