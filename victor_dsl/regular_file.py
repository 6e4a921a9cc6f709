"""Reads regular files and nothing else: opening a pipe or a device could block for ever, and a device has no end."""

from __future__ import annotations

import os
import stat

NOT_REGULAR = "is not a regular file"

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def read_regular(path: str | os.PathLike[str], most_bytes: int) -> tuple[bytes, os.stat_result]:
    """At most one byte more than `most_bytes` of a file, and its status. Links are followed.

    Raises OSError, also where the path names no regular file, and ValueError for a NUL in the path.
    """
    _check(os.stat(path), path)  # before it is opened, because opening some devices does something
    descriptor = os.open(path, _FLAGS)
    try:
        status = os.fstat(descriptor)
        _check(status, path)
        pieces: list[bytes] = []
        left = most_bytes + 1
        while left and (piece := os.read(descriptor, min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), status
    finally:
        os.close(descriptor)


def _check(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(None, "is a directory", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, NOT_REGULAR, str(path))
