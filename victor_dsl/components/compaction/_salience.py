"""The choice of the groups that are worth most for their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Event

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction._explained import explain
from victor_dsl.components.compaction._reading import Floats, Reader, Reading, counted
from victor_dsl.components.compaction._worth import facts, identifier_share, identifying, relevance
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Before, Choice, History
from victor_dsl.values.turn import Turn

Marks = npt.NDArray[np.bool_]

ON_LOOP_TOKENS = 4_000
"""Up to so many tokens choosing takes two milliseconds, less than a thread may have to wait."""
ROUNDS = 24
"""How often it is counted anew which identifiers are missing still; each round spends an equal part of the room."""
PRIOR = 0.1
"""What an average group is worth beside the one that is nearest to the latest message."""
MOST = 5.0
"""What a group tells counts no more than so many average ones: a question goes before it."""
QUESTION, REMARK = 1.0, 0.1
"""How much it counts to be near the latest message: where that asks something, and where it does not."""
LEAST = 0.02
"""What facts count beside identifiers where nothing but these seems to count."""
STEADINESS = 0.9
"""The share of the best choice's worth for which another is taken that begins as the last one did."""


class Worth:
    """What the groups of a history are worth, and the choice of those that fit a room.

    A group is worth something by itself (`steady`), and more where it names what no other kept group does. Agents' work is
    weighed by what it names, chats by what they tell, and all between by both.
    """

    def __init__(self, reading: Reading, tokens: npt.NDArray[np.int64], asking: int | None) -> None:
        share = identifier_share(reading)
        asks = asking is not None and reading.asks(asking)
        self.tokens, self.asking = tokens, asking
        self.told = max(1 - share, LEAST) * PRIOR * np.minimum(_scaled(facts(reading)), MOST)
        self.near = np.zeros(reading.size)
        if asking is not None:
            self.near = (1 - share) * (QUESTION if asks else REMARK) * relevance(reading, asking)
        self._steady = np.where(reading.repeats, 0.1, 1.0) * (self.told + self.near)
        self.weights = identifying(reading) * (share > 0)
        pairs = np.flatnonzero(self.weights[reading.held])
        self._holder, self._held = reading.holder[pairs], reading.held[pairs]
        if len(pairs):
            self.weights *= share * PRIOR / self.named().mean()
        self._cost = np.maximum(tokens, 1) ** (1 - 0.3 * (1 - share) * asks)

    def of(self, kept: Marks) -> float:
        """What these groups are worth together."""
        return float(self._steady[kept].sum() + self.weights[self._covered(kept)].sum())

    def named(self) -> Floats:
        """By group: what its identifiers are worth, whoever else names them."""
        return counted(self._holder, len(self.tokens), self.weights[self._held])

    def fill(self, kept: Marks, open_: Marks, room: int) -> Marks:
        """The kept groups, and of the open ones those that are worth most within the room, in tokens."""
        kept, open_, left = kept.copy(), open_.copy(), room
        while len(fitting := np.flatnonzero(open_ & (self.tokens <= left))):
            missing = ~self._covered(kept)[self._held]
            gains = self._steady + counted(self._holder[missing], len(kept), self.weights[self._held[missing]])
            best = fitting[np.argsort(-gains[fitting] / self._cost[fitting], kind="stable")]
            share = room // ROUNDS if missing.any() else left
            taken = best[_within(self.tokens[best].tolist(), share, left)]
            kept[taken] = True
            open_[taken] = False
            left -= int(self.tokens[taken].sum())
        return kept

    def _covered(self, kept: Marks) -> Marks:
        """By term: whether a kept group holds it."""
        covered = np.zeros(len(self.weights), dtype=np.bool_)
        covered[self._held[kept[self._holder]]] = True
        return covered


class Salience:
    """Keeps the groups that are worth most; what it has read before it does not read again."""

    def __init__(self, *, recent: float) -> None:
        self._recent = recent
        self._reader = Reader()
        self._off_loop = OffLoop()

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        if history.tokens <= ON_LOOP_TOKENS:
            return self.choice(history, budget, explained=turn.rendering)
        given_up = Event()
        try:
            return await self._off_loop.run(self.choice, history, budget, given_up.is_set, explained=turn.rendering)
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


def _within(tokens: Sequence[int], share: int, left: int) -> list[int]:
    """Places of the first items, each of which still fits what is left, that together spend the share: at least one."""
    taken: list[int] = []
    spent = 0
    for place, cost in enumerate(tokens):
        if spent + cost <= left:
            taken.append(place)
            spent += cost
            if spent >= share:
                break
    return taken


def _scaled(values: Floats) -> Floats:
    """The values over their mean."""
    mean = values.mean() if len(values) else 0.0
    return values / mean if mean > 0 else values
