"""The calls of the operating system that a journal makes. Tests put a disk in their place that is full, or tears a write."""

from __future__ import annotations

import errno
import os
from pathlib import Path

UNSUPPORTED = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}


class Disk:
    """The real disk. Every method may raise OSError."""

    def create(self, path: Path, size: int) -> int:
        """A new file of so many zeros, whose space is reserved where the file system can do that; returns a descriptor."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self._reserve(descriptor, size)
        except BaseException:
            os.close(descriptor)
            os.unlink(path)
            raise
        return descriptor

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Writes all of the data at an offset."""
        done = os.pwrite(descriptor, data, offset)
        while done < len(data):
            more = os.pwrite(descriptor, data[done:], offset + done)
            if more == 0:
                raise OSError(errno.EIO, "nothing was written")
            done += more

    def sync(self, descriptor: int) -> None:
        """Waits until what was written is on the medium. Blocks for milliseconds."""
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Waits until the names of the folder's new files are on the medium."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def cut(self, descriptor: int, size: int) -> None:
        """Gives back the space after so many bytes."""
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """Closes a file."""
        os.close(descriptor)

    def remove(self, path: Path) -> None:
        """Removes a file; one that is gone already is no error."""
        path.unlink(missing_ok=True)

    def _reserve(self, descriptor: int, size: int) -> None:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(descriptor, 0, size)
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
            else:
                return
        os.ftruncate(descriptor, size)
