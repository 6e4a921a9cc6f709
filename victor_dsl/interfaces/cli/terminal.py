"""One place that writes to a terminal: what is written while a reply, a prompt or a status line is shown appears above it, in whole lines."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO


class Surface(Protocol):
    """What occupies the last lines of the terminal."""

    def above(self, lines: str) -> None:
        """Shows whole lines above the surface, now or as soon as it can."""
        ...


@contextmanager
def written_above(surface: Surface) -> Iterator[None]:
    """While it is entered, what anybody writes to stdout and stderr appears above the surface; a stream that is no terminal is left alone."""
    before = sys.stdout, sys.stderr
    streams = [_Above(stream, surface) if stream.isatty() else stream for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in streams:
            if isinstance(stream, _Above):
                stream.end()
        sys.stdout, sys.stderr = before


class _Above(io.TextIOBase):
    """A stand-in for a stream: collects what is written, from any thread, to whole lines."""

    def __init__(self, stream: TextIO, surface: Surface) -> None:
        self._stream = stream
        self._surface = surface
        self._rest = ""
        self._lock = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        with self._lock:
            lines, line_break, self._rest = (self._rest + text).rpartition("\n")
            if line_break:
                self._surface.above(lines + line_break)
        return len(text)

    def end(self) -> None:
        """Shows the line that was not ended."""
        if self._rest:
            self.write("\n")
