"""A value computed from a file, and computed again only when the file changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from victor_dsl.lazy import Lazy
from victor_dsl.regular_file import read_regular
from victor_dsl.storage.ending import to_the_end

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

T = TypeVar("T")

Stamp = tuple[int, int, int]
"""What differs between two versions of a file: mtime in ns, size, inode."""

UNSETTLED_NS = 20_000_000
"""A file changed less than this ago may change again within one tick of the file system's clock, and keep its stamp."""


class FileValue(Generic[T]):
    """The result of `make(content)` for a file. The file may be missing or faulty at first; each `get` tries again.

    `get` returns the same object as long as the content is the same. It raises OSError, and what `make` raises.
    `now_ns` is the clock by which the file system stamps files.
    """

    def __init__(
        self, path: Path, make: Callable[[bytes], T], *, most_bytes: int, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.path = path
        self._make = make
        self._most_bytes = most_bytes
        self._now_ns = now_ns
        self._stamp: Stamp | None = None
        self._cached: tuple[bytes, T] | None = None

    async def get(self) -> T:
        """The value of the current content. One `stat` runs on the event loop, reading and `make` off it.

        When the caller is cancelled, a read that has begun ends first: no thread is left with the file open.
        """
        if self._cached is not None and self._stamp == stamp(self.path):
            return self._cached[1]
        return await to_the_end(asyncio.to_thread(self._load))

    def _load(self) -> T:
        data, self._stamp = read(self.path, self._most_bytes, self._now_ns)
        if self._cached is None or self._cached[0] != data:
            self._cached = None
            self._cached = (data, self._make(data))
        return self._cached[1]


def stamp(path: Path) -> Stamp:
    """The file's current stamp. Raises OSError."""
    return _stamp(os.stat(path))


def read(path: Path, most_bytes: int, now_ns: Callable[[], int] = time.time_ns) -> tuple[bytes, Stamp | None]:
    """A regular file's content and stamp; the stamp is None while the file may still change unnoticed.

    Raises OSError, also for a file larger than `most_bytes`.
    """
    data, status = read_regular(path, most_bytes)
    if len(data) > most_bytes:
        raise OSError(None, f"is larger than {most_bytes:,} bytes", str(path))
    settled = now_ns() - status.st_mtime_ns > UNSETTLED_NS
    return data, _stamp(status) if settled else None


def reason(error: OSError) -> str:
    """Why a file could not be read or written, in lower case: `no such file or directory`."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_mtime_ns, status.st_size, status.st_ino)
