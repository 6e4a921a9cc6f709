"""The newest groups of a history that fit a number of tokens, as several kinds of compaction keep them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn

NEWEST = "among the newest"
OLDER = "older than what fits"
TOO_LARGE = "larger than all the room"

ON_LOOP_GROUPS = 2_000
"""Up to this many groups, half a millisecond of work, the newest are found on the event loop."""


class NewestGroups:
    """A strategy that keeps the newest groups; `rule(history, budget)` gives their positions."""

    def __init__(self, rule: Callable[[History, int], Collection[int]]) -> None:
        self._rule = rule
        self._off_loop = OffLoop()

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        """Keeps what the rule says."""
        kept = await self._off_loop.run_if(len(history.groups) > ON_LOOP_GROUPS, self._rule, history, budget)
        return Choice(frozenset(kept), reasons=_reasons(history, kept, budget) if turn.rendering else {})


def newest_within(history: History, room: int) -> set[int]:
    """Positions of the newest groups that are not fixed and together fit the room, in tokens.

    They follow one another without a gap, except that groups larger than the whole room are skipped.
    """
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


def tokens_of(history: History, positions: Iterable[int]) -> int:
    """The tokens of the groups at these positions."""
    return sum(history.groups[position].tokens for position in positions)


def _reasons(history: History, kept: Collection[int], budget: int) -> Mapping[int, str]:
    room = budget - history.fixed_tokens
    return {
        position: NEWEST if position in kept else TOO_LARGE if group.tokens > room else OLDER
        for position, group in enumerate(history.groups)
        if not group.fixed
    }
