"""The segments of a journal's folder: numbered files, each with a stretch of its records."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SUFFIX = ".log"


class Position(NamedTuple):
    """A place between two records: the number of a segment, and an offset in it. Positions are ordered as records are."""

    segment: int
    offset: int


START = Position(0, 0)
"""Before the first record."""


def path_of(folder: Path, number: int) -> Path:
    """The file of a segment."""
    return folder / f"{number:08d}{SUFFIX}"


def numbers(folder: Path) -> list[int]:
    """The numbers of the segments that are there, in order. Raises OSError."""
    stems = (path.stem for path in folder.iterdir() if path.suffix == SUFFIX)
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())
