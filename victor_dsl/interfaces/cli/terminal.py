"""A model's text on a terminal: its control characters must not drive it."""

from __future__ import annotations

import sys
from typing import TextIO

from victor_dsl.values.message import Delta

_CONTROLS: dict[int, str | None] = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}")
_CONTROLS |= {ord("\t"): "\t", ord("\n"): "\n", ord("\r"): None}


def harmless(text: str) -> str:
    """The text with a replacement character for every control character but tab and line break."""
    return text.translate(_CONTROLS)


class Page:
    """Where replies are shown: streamed and made harmless on a terminal, whole and as they are elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self.streams = self._stream.isatty()
        self._open = False

    async def emit(self, delta: Delta) -> None:
        """Shows a piece of a reply."""
        self._write(harmless(delta.text))
        self._open = True

    def finish(self, reply: str) -> None:
        """Ends a reply: shows it, unless it was streamed."""
        if not self._open:
            self._write(harmless(reply) if self.streams else reply)
        self._write("\n")
        self._open = False

    def break_off(self) -> None:
        """Ends a reply that stopped half-way."""
        if self._open:
            self._write("\n")
        self._open = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
