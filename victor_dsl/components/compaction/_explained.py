"""Why groups are kept or left out, in a few words, some of them their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from victor_dsl.components.compaction._newest import NEWEST
from victor_dsl.components.compaction._reading import Floats, Reading

if TYPE_CHECKING:
    from victor_dsl.components.compaction._salience import Marks, Worth

MOST_WORDS = 3


def explain(reading: Reading, worth: Worth, kept: Marks, newest: Collection[int]) -> Mapping[int, str]:
    """The reason for each group, by what counts most of what it is worth."""
    reasons: dict[int, str] = {}
    named = worth.named()
    spelled = list(reading.lexicon.tokens)
    for group in range(reading.size):
        if group in newest:
            reasons[group] = NEWEST
        elif not kept[group]:
            reasons[group] = "repeats an earlier one" if reading.repeats[group] else "tells less for its tokens"
        elif named[group] >= max(worth.told[group], worth.near[group]) and named[group] > 0:
            reasons[group] = f"names {_words(reading, spelled, group, worth.weights)}"
        elif worth.near[group] > worth.told[group]:
            reasons[group] = f"near the latest message: {_words(reading, spelled, group, reading.rarity)}"
        else:
            reasons[group] = f"tells of {_words(reading, spelled, group, reading.rarity)}"
    return reasons


def _words(reading: Reading, spelled: list[str], group: int, weights: Floats) -> str:
    """The group's words that weigh most, as they are first written there."""
    tokens = reading.rows[group]
    terms, firsts = np.unique(reading.terms[tokens], return_index=True)
    best = np.argsort(-weights[terms], kind="stable")[:MOST_WORDS]
    return ", ".join(spelled[tokens[at]] for at in sorted(firsts[best]))
