"""The newest messages within some room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn

NEWEST = "among the newest"
OLDER = "older than what fits"
TOO_LARGE = "larger than all the room"

ON_LOOP_GROUPS = 2_000
"""Up to this many groups the newest are found in half a millisecond, less than a thread may have to wait."""


class Newest:
    """A strategy that keeps the newest groups by a rule: `rule(history, budget)` gives their positions."""

    def __init__(self, rule: Callable[[History, int], Collection[int]]) -> None:
        self._rule = rule
        self._off_loop = OffLoop()

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        kept = await self._off_loop.run_if(len(history.groups) > ON_LOOP_GROUPS, self._rule, history, budget)
        reasons = newest_reasons(history, kept, budget - history.fixed_tokens) if turn.rendering else {}
        return Choice(frozenset(kept), reasons=reasons)


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


def newest_reasons(history: History, kept: Collection[int], room: int) -> Mapping[int, str]:
    """Why each loose group is among the newest, or not; `room` is what there was for all of them."""
    return {
        position: NEWEST if position in kept else TOO_LARGE if group.tokens > room else OLDER
        for position, group in enumerate(history.groups)
        if not group.fixed
    }


def cost(history: History, positions: Iterable[int]) -> int:
    """The tokens of the groups at these positions."""
    return sum(history.groups[position].tokens for position in positions)
