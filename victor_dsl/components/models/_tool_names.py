"""Tool names as the model APIs take them: 1 to 64 of letters, digits, `_` and `-`."""

from __future__ import annotations

import hashlib
import re

from victor_dsl.values.turn import Turn

_TAKEN = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_REFUSED = re.compile(r"[^a-zA-Z0-9_-]")


def sent(name: str) -> str:
    """The name as it is sent: itself where the APIs take it, else one made from it that is the same every time."""
    if _TAKEN.fullmatch(name):
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_REFUSED.sub('_', name)[:55]}_{mark}"


def given(turn: Turn) -> dict[str, str]:
    """What the names that had to be changed stand for, by the names that are sent."""
    return {sent(tool.name): tool.name for tool in turn.tools if not _TAKEN.fullmatch(tool.name)}
