"""The strategy that keeps the groups which are worth most for their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction._explained import explain
from victor_dsl.components.compaction._reading import Reader
from victor_dsl.components.compaction._worth import Marks, Worth
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Before, Choice, History
from victor_dsl.values.turn import Turn

ON_LOOP_TOKENS = 4_000
"""Up to so many tokens choosing takes two milliseconds, less than a thread may have to wait."""
STEADINESS = 0.9
"""The share of the best choice's worth for which another is taken that begins as the last one did."""


class Salience:
    """Keeps the groups that are worth most; what it has read before it does not read again."""

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
            given_up.set()  # a thread cannot be cancelled, but it can be told

    def choice(
        self, history: History, budget: int, given_up: Callable[[], bool] = lambda: False, *, explained: bool = False
    ) -> Choice:
        """What stays: the fixed groups, the newest, and those that are worth most. Raises TimeoutError once `given_up`."""
        if history.tokens <= budget:
            return Choice(frozenset(range(len(history.groups))))
        reading = self._reader.read(history, given_up)
        tokens = np.array([group.tokens for group in history.groups], dtype=np.int64)
        worth = Worth(reading, tokens, _asking(history))
        start = np.array([group.fixed for group in history.groups], dtype=np.bool_)
        room = budget - history.fixed_tokens
        newest = _newest(history, int(room * self._recent))
        start[newest] = True
        room -= int(tokens[newest].sum())
        kept = _steady(worth, start, room, history.before) if history.before else worth.fill(start, ~start, room)
        reasons = explain(reading, worth, kept, newest) if explained else {}
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


def _steady(worth: Worth, start: Marks, room: int, before: Before) -> Marks:
    """The choice that begins as the last one did, for as long as that costs little of the best one's worth."""
    best = worth.fill(start, ~start, room)
    enough = worth.of(best) * STEADINESS
    for begun, shut in _beginnings(before, worth.tokens, start):
        cost = int(worth.tokens[begun & ~start].sum())
        if cost <= room and worth.of(kept := worth.fill(begun, ~(begun | shut), room - cost)) >= enough:
            return kept
    return best


def _asking(history: History) -> int | None:
    """The group of the latest user message."""
    messages = history.messages
    numbers = reversed(range(len(history.groups)))
    return next((n for n in numbers if messages[history.groups[n].indices[0]].role == "user"), None)


def _beginnings(before: Before, tokens: npt.NDArray[np.int64], start: Marks) -> Iterator[tuple[Marks, Marks]]:
    """What was kept before: all, then shorter and shorter beginnings of it, each with the groups that it shuts out."""
    kept = np.array(sorted(before.kept), dtype=np.int64)
    sums = np.cumsum(tokens[kept])
    for share in (1.0, 0.75, 0.5, 0.25):
        count = int(np.searchsorted(sums, share * sums[-1], side="right")) if len(sums) else 0
        if count == 0:
            return
        begun, shut = start.copy(), np.zeros(len(tokens), dtype=np.bool_)
        begun[kept[:count]] = True
        shut[: before.seen if share == 1.0 else kept[count - 1] + 1] = True
        yield begun, shut & ~begun
