"""The newest messages within some room."""

from __future__ import annotations

from collections.abc import Iterable

from victor_dsl.values.history import History


def newest_within(history: History, room: int) -> set[int]:
    """Positions of loose groups from the newest back, without a gap but for groups larger than the whole room."""
    kept: set[int] = set()
    left = room
    for position in range(len(history.groups) - 1, -1, -1):
        group = history.groups[position]
        if group.fixed or group.tokens > room:
            continue
        if group.tokens > left:
            break
        left -= group.tokens
        kept.add(position)
    return kept


def cost(history: History, positions: Iterable[int]) -> int:
    """The tokens of the groups at these positions."""
    return sum(history.groups[position].tokens for position in positions)
