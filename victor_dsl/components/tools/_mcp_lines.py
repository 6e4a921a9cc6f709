"""The lines that an MCP server prints, bounded: a longer one is told by its two ends."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

MOST_LINE_BYTES = 16 * 1024 * 1024
"""The most bytes of one message; images come as base64 within theirs."""

END_BYTES = 256
"""So much is kept of each end of a line that is too long."""

_FIRST = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')
_LAST = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


@frozen
class TooLong:
    """A line over the bound: its first and last bytes."""

    first: bytes
    last: bytes

    @property
    def answers(self) -> int | None:
        """The id of the request that the line answers, where it begins or ends as such answers do."""
        found = _FIRST.search(self.first) or _LAST.search(self.last)
        return int(found.group(1)) if found else None


class Lines:
    """Puts chunks of bytes together to lines."""

    def __init__(self, most_bytes: int = MOST_LINE_BYTES) -> None:
        self._most = most_bytes
        self._chunks: list[bytes] = []
        self._size = 0
        self._first: bytes | None = None  # of a line that is too long already

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        """The lines that the chunk completes, without their ends."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._add(piece)
            yield self._taken()
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._chunks.append(piece)
        self._size += len(piece)
        if self._size > self._most:
            whole = b"".join(self._chunks)
            if self._first is None:
                self._first = whole[:END_BYTES]
            self._chunks = [whole[-END_BYTES:]]
            self._size = self._most  # any further byte brings it here again

    def _taken(self) -> bytes | TooLong:
        line: bytes | TooLong = b"".join(self._chunks)
        if self._first is not None:
            assert isinstance(line, bytes)
            line = TooLong(self._first, line[-END_BYTES:])
        self._chunks, self._size, self._first = [], 0, None
        return line
