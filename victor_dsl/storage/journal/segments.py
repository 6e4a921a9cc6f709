"""The segments of a journal's folder: numbered files, each with a stretch of its records."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".log"


class Position(NamedTuple):
    """A place in the journal: the number of a segment, an offset in it, and how many parts of the record there are done.

    A record may have several parts, such as events; what they are only its reader knows. Positions are ordered as records are.
    """

    segment: int
    offset: int
    done: int = 0


START = Position(0, 0)
"""Before the first record."""


def path_of(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:08d}{SUFFIX}"


def trim(folder: Path) -> None:
    """Gives back the space behind the records of a folder that nobody writes any more. Raises OSError."""
    for number in reversed(numbers(folder)):
        path = path_of(folder, number)
        size = len(path.read_bytes().rstrip(b"\0"))
        if size:
            os.truncate(path, size)
            return  # those before it are full
        path.unlink()


def numbers(folder: Path) -> list[int]:
    """The numbers of the segments that are there, in order. Raises OSError."""
    stems = (path.stem for path in folder.iterdir() if path.suffix == SUFFIX)
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())
