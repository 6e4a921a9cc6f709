"""Which model a request needs."""

from __future__ import annotations

import re

from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn

NARROW = re.compile(r"(what|who|when|where|which|define|translate)\b", re.IGNORECASE)


async def by_difficulty(turn: Turn, handler: Handler) -> Reply:
    """Sends short questions for a fact to `quick`. Ask a classifier of your own here instead, with a time limit."""
    asked = turn.messages[-1].text()
    if NARROW.match(asked) and len(asked) < 80:
        turn = turn.replace(settings=turn.settings.replace(model="quick"))
    return await handler(turn)
