"""What the groups of a history are worth together, and the choice of those that fit a room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction.salience.measures import facts, identifier_share, identifying, relevance
from victor_dsl.components.compaction.salience.reading import Floats, Reading, counted

Mask = npt.NDArray[np.bool_]

# The unit of worth is the group nearest to the latest message, if that asks something: it is worth 1.
ROUNDS = 24
"""How often gains are computed anew; each round spends an equal part of the room.

Fewer rounds are faster and choose more groups that name the same identifiers. In recorded work of an airline's agent the recall
of what later calls need changes by 1 % or less between 6 and 48 rounds.
"""
AVERAGE = 0.1
"""What a group with average facts is worth, and one with average identifiers: a tenth of what a question asks for."""
MOST_FACTS = 5.0
"""Facts count no more than those of this many average groups, so that they are worth half of what a question asks for."""
QUESTION, REMARK = 1.0, 0.1
"""How much nearness to the latest message counts: if that asks something, and if it does not."""
LEAST_FACTS = 0.02
"""The part of their worth that facts have even in an agent's work: it decides between groups with equal identifiers.

A larger part costs identifiers where the room is small: with 0.1, recall at a tenth of the tokens falls by 1 %.
"""
REPEATED = 0.1
"""The part of its worth that a group has which repeats an earlier one word for word."""
CHEAPNESS = 0.3
"""After a question in a chat, the worth of a group is divided by its tokens to the power of 1 - 0.3 instead of 1.

Worth for each token favours short groups; with this, a long message with the answer wins over several short remarks.
"""


class Worth:
    """What the groups are worth by themselves, and for the identifiers that no other kept group names.

    An agent's work is weighed by the identifiers it names, a chat by its facts, and histories between them by both. By group:
    `facts`, and `near`, the worth of its nearness to the latest user group, `asking`. By term: `weights` as identifiers.
    """

    def __init__(self, reading: Reading, tokens: npt.NDArray[np.int64], asking: int | None) -> None:
        share = identifier_share(reading)
        asks = asking is not None and reading.asks(asking)
        self.tokens, self.asking = tokens, asking
        self.facts = max(1 - share, LEAST_FACTS) * AVERAGE * np.minimum(_over_mean(facts(reading)), MOST_FACTS)
        self.near = np.zeros(reading.size)
        if asking is not None:
            self.near = (1 - share) * (QUESTION if asks else REMARK) * relevance(reading, asking)
        self._own = np.where(reading.repeats, REPEATED, 1.0) * (self.facts + self.near)
        self.weights = identifying(reading) * (share > 0)
        pairs = np.flatnonzero(self.weights[reading.terms])
        self._groups, self._terms = reading.groups[pairs], reading.terms[pairs]
        if len(pairs):
            self.weights *= share * AVERAGE / self.named().mean()
        self._cost = np.maximum(tokens, 1) ** (1 - CHEAPNESS * (1 - share) * asks)

    def of(self, kept: Mask) -> float:
        """What these groups are worth together."""
        return float(self._own[kept].sum() + self.weights[self._covered(kept)].sum())

    def named(self) -> Floats:
        """By group: what its identifiers are worth, no matter which other groups name them."""
        return counted(self._groups, len(self.tokens), self.weights[self._terms])

    def fill(self, kept: Mask, open_: Mask, room: int) -> Mask:
        """The kept groups, and those of the open ones that are worth most within the room, in tokens.

        Greedy, by worth for each token, in rounds: after each, identifiers that are named by now count no more.
        """
        kept, open_, left = kept.copy(), open_.copy(), room
        while len(fitting := np.flatnonzero(open_ & (self.tokens <= left))):
            is_missing = ~self._covered(kept)[self._terms]
            gains = self._own + counted(self._groups[is_missing], len(kept), self.weights[self._terms[is_missing]])
            best = fitting[np.argsort(-gains[fitting] / self._cost[fitting], kind="stable")]
            share = room // ROUNDS if is_missing.any() else left  # without identifiers no gain changes: one round does
            chosen = best[_first_within(self.tokens[best].tolist(), share, left)]
            kept[chosen] = True
            open_[chosen] = False
            left -= int(self.tokens[chosen].sum())
        return kept

    def _covered(self, kept: Mask) -> Mask:
        """By term: whether a kept group contains it."""
        covered = np.zeros(len(self.weights), dtype=np.bool_)
        covered[self._terms[kept[self._groups]]] = True
        return covered


def _first_within(tokens: Sequence[int], share: int, left: int) -> list[int]:
    """Places of the first items that each fit what is left and together spend the share: at least one."""
    places: list[int] = []
    spent = 0
    for place, cost in enumerate(tokens):
        if spent + cost <= left:
            places.append(place)
            spent += cost
            if spent >= share:
                break
    return places


def _over_mean(values: Floats) -> Floats:
    """The values divided by their mean."""
    mean = values.mean() if len(values) else 0.0
    return values / mean if mean > 0 else values
