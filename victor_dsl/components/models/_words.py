"""A text in the pieces that it is streamed in."""

from __future__ import annotations

import re

from victor_dsl.values.message import Delta
from victor_dsl.values.turn import Turn

_WORD = re.compile(r"\s*\S+\s*|\s+")


async def say(text: str, turn: Turn) -> None:
    """Streams the text word by word where anyone listens; the pieces joined are the text."""
    if turn.streaming:
        for piece in _WORD.findall(text):
            await turn.emit(Delta(piece))
