"""A value made from a file, and made anew only when the file changed."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from victor_dsl.lazy import Lazy
from victor_dsl.storage.ending import to_the_end

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

T = TypeVar("T")

Stamp = tuple[int, int, int]
"""What tells one state of a file from the next: mtime in ns, size, inode."""

UNSETTLED_NS = 20_000_000
"""A file changed less than this ago may change again within one tick of the file system's clock."""


class FileValue(Generic[T]):
    """What `make` gives for the file's content. `path` may be missing or bad at first; each `get` tries again.

    `get` gives the same object as long as the content is the same. It raises OSError, and what `make` raises. `now_ns` is
    the clock that the file system stamps files by.
    """

    def __init__(
        self, path: Path, make: Callable[[bytes], T], *, most_bytes: int, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.path = path
        self._make = make
        self._most_bytes = most_bytes
        self._now_ns = now_ns
        self._stamp: Stamp | None = None
        self._kept: tuple[bytes, T] | None = None

    async def get(self) -> T:
        """The value for what the file holds now. One `stat` on the loop; reading and making are off it.

        Cancelled, it lets the reading end first: no thread is left with the file.
        """
        if self._kept is not None and self._stamp == stamp(self.path):
            return self._kept[1]
        return await to_the_end(asyncio.to_thread(self._load))

    def _load(self) -> T:
        data, self._stamp = read(self.path, self._most_bytes, self._now_ns)
        if self._kept is None or self._kept[0] != data:
            self._kept = None
            self._kept = (data, self._make(data))
        return self._kept[1]


def stamp(path: Path) -> Stamp:
    """The file's stamp now. Raises OSError."""
    return _stamp(path.stat())


def read(path: Path, most_bytes: int, now_ns: Callable[[], int] = time.time_ns) -> tuple[bytes, Stamp | None]:
    """A regular file's content, and its stamp, None while it may be changing. Raises OSError, also when it is larger."""
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
        raise OSError(None, "is not a file", str(path))
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        data = file.read(most_bytes + 1)
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
