"""The strategy: keeps the groups that are worth most for their tokens, and says why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from threading import Event

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction.salience.reading import Reader, Reading
from victor_dsl.components.compaction.salience.worth import Mask, Worth
from victor_dsl.components.newest_groups import NEWEST
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Before, Choice, History
from victor_dsl.values.turn import Turn

ON_LOOP_TOKENS = 4_000
"""Up to this many tokens, two milliseconds of work, the choice is made on the event loop."""
STEADINESS = 0.9
"""The share of the best choice's worth that a choice must have which begins as the last one did, to be preferred.

A lower share lets prompt caches stay valid for more turns; a higher one lets what is kept follow the conversation sooner.
"""
MOST_WORDS = 3
"""How many words a reason names."""


class Salience:
    """Keeps the groups that are worth most. What it has read before it does not read again."""

    def __init__(self, *, recent: float) -> None:
        self._recent = recent
        self._reader = Reader()
        self._off_loop = OffLoop()

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        is_large = history.tokens > ON_LOOP_TOKENS
        given_up = Event()
        try:
            return await self._off_loop.run_if(
                is_large, self.choice, history, budget, given_up.is_set, explained=turn.rendering
            )
        finally:
            given_up.set()  # a thread cannot be stopped, but it looks at this while it reads

    def choice(
        self, history: History, budget: int, given_up: Callable[[], bool] = lambda: False, *, explained: bool = False
    ) -> Choice:
        """The fixed groups, the newest, and those that are worth most. Raises TimeoutError once `given_up`."""
        if history.tokens <= budget:
            return Choice(frozenset(range(len(history.groups))))
        reading = self._reader.read(history, given_up)
        tokens = np.array([group.tokens for group in history.groups], dtype=np.int64)
        worth = Worth(reading, tokens, _latest_user_group(history))
        start = np.array([group.fixed for group in history.groups], dtype=np.bool_)
        room = budget - history.fixed_tokens
        newest = _newest(history, int(room * self._recent))
        start[newest] = True
        room -= int(tokens[newest].sum())
        kept = _steady(worth, start, room, history.before) if history.before else worth.fill(start, ~start, room)
        reasons = _reasons(reading, worth, kept, newest) if explained else {}
        return Choice(frozenset(np.flatnonzero(kept).tolist()), reasons=reasons)


def _newest(history: History, room: int) -> list[int]:
    """The newest groups, without a gap, that fit the room."""
    newest: list[int] = []
    for position in reversed(range(len(history.groups))):
        group = history.groups[position]
        if group.tokens > room and not group.fixed:
            break
        if not group.fixed:
            room -= group.tokens
            newest.append(position)
    return newest


def _latest_user_group(history: History) -> int | None:
    messages = history.messages
    positions = reversed(range(len(history.groups)))
    return next((p for p in positions if messages[history.groups[p].indices[0]].role == "user"), None)


def _steady(worth: Worth, start: Mask, room: int, before: Before) -> Mask:
    """The best choice, or one that begins as the last one did and is worth nearly as much."""
    best = worth.fill(start, ~start, room)
    enough = worth.of(best) * STEADINESS
    for begun, excluded in _beginnings(before, worth.tokens, start):
        cost = int(worth.tokens[begun & ~start].sum())
        if cost <= room and worth.of(kept := worth.fill(begun, ~(begun | excluded), room - cost)) >= enough:
            return kept
    return best


def _beginnings(before: Before, tokens: npt.NDArray[np.int64], start: Mask) -> Iterator[tuple[Mask, Mask]]:
    """All of what was kept before, then ever shorter beginnings of it, each with the groups that it excludes.

    Excluded are the groups dropped between the kept ones: were one of them kept now, a prompt cache would end there.
    """
    kept = np.array(sorted(before.kept), dtype=np.int64)
    sums = np.cumsum(tokens[kept])
    for share in (1.0, 0.75, 0.5, 0.25):
        count = int(np.searchsorted(sums, share * sums[-1], side="right")) if len(sums) else 0
        if count == 0:
            return
        begun, excluded = start.copy(), np.zeros(len(tokens), dtype=np.bool_)
        begun[kept[:count]] = True
        excluded[: before.seen if share == 1.0 else kept[count - 1] + 1] = True
        yield begun, excluded & ~begun


def _reasons(reading: Reading, worth: Worth, kept: Mask, newest: Collection[int]) -> Mapping[int, str]:
    """Why each group is kept or left out: what makes the largest part of its worth, with some of its words."""
    named = worth.named()
    return {
        group: NEWEST
        if group in newest
        else _why_kept(reading, worth, group, float(named[group]))
        if kept[group]
        else "repeats an earlier one"
        if reading.repeats[group]
        else "worth less for its tokens"
        for group in range(reading.size)
    }


def _why_kept(reading: Reading, worth: Worth, group: int, named: float) -> str:
    facts, near = worth.facts[group], worth.near[group]
    if near > max(facts, named):
        asked = reading.terms[reading.groups == worth.asking]
        rarity = np.zeros(len(reading.rarity))
        rarity[asked] = reading.rarity[asked]
        words = reading.spelled(group, rarity, MOST_WORDS)
        return f"near the latest message: {', '.join(words)}" if words else "beside a group near the latest message"
    if named > facts:
        return f"names {', '.join(reading.spelled(group, worth.weights, MOST_WORDS))}"
    words = reading.spelled(group, reading.rarity, MOST_WORDS)
    return f"tells of {', '.join(words)}" if words else "fits the remaining room"
