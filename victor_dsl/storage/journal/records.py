"""How records lie in a segment: each on a line, after its checksum and its length.

    3f2a91c0 00000011 {"a":"record"}…
    crc32    length

Both are eight hexadecimal digits. The checksum covers the payload and its length (the CRC's initial value). A payload contains no
line break, so that reading can go on at the next line where a record is damaged. The rest of a segment is zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

HEADER = 18
"""Bytes before the payload."""
FRAME = HEADER + 1
"""Bytes of a record beside its payload."""
MOST_RECORD_BYTES = 64 * 1024 * 1024
"""The longest payload. The lengths of damaged records are not believed beyond it."""


class Record(NamedTuple):
    """A payload, and the offset in its segment of what follows it."""

    payload: bytes
    end: int


class Damage(NamedTuple):
    """A stretch of a segment that holds no readable record, and the offset of what follows it."""

    bytes: int
    end: int


def framed(payload: bytes) -> bytes:
    """The payload as it lies in a segment. Raises ValueError for one that is too long."""
    length = len(payload)
    if length > MOST_RECORD_BYTES:
        raise ValueError(f"a record of {length:,} bytes is too long")
    return b"%08x %08x %b\n" % (crc32(payload, length), length, payload)


def scan(data: bytes, start: int = 0, *, ends: bool = True) -> Iterator[Record | Damage]:
    """The records from an offset on, and the damage between them.

    With `ends=False` the segment is still being written: what is unreadable at its end is left for later.
    """
    size = len(data)
    while start < size:
        found = _record(data, start)
        if found is None:
            behind = _next(data, start)
            if behind is None:
                rest = data[start:].rstrip(b"\0")
                if ends and rest:
                    yield Damage(len(rest), size)
                return
            yield Damage(behind - start, behind)
            start = behind
        else:
            yield found
            start = found.end


def _header(payload: bytes) -> bytes:
    return b"%08x %08x " % (crc32(payload, len(payload)), len(payload))


def _record(data: bytes, start: int) -> Record | None:
    """The record that begins here; None if none does, or if it is damaged."""
    header = data[start : start + HEADER]
    try:
        length = int(header[9:17], 16)
    except ValueError:
        return None
    end = start + HEADER + length
    if not 0 <= length <= MOST_RECORD_BYTES or end >= len(data):
        return None
    payload = data[start + HEADER : end]
    # The line break is not compared: where only that is damaged, this record and the next are whole.
    return Record(payload, end + 1) if header == _header(payload) else None


def _next(data: bytes, start: int) -> int | None:
    """The offset of the first record that begins on a later line; None if there is none."""
    at = data.find(b"\n", start)
    while at >= 0:
        if _record(data, at + 1) is not None:
            return at + 1
        at = data.find(b"\n", at + 1)
    return None
