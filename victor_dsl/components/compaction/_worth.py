"""What the groups of a history are worth beside each other, and the choice of those that fit a room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction._measures import facts, identifier_share, identifying, relevance
from victor_dsl.components.compaction._reading import Floats, Reading, counted

Marks = npt.NDArray[np.bool_]

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
