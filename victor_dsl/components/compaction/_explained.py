"""Why groups are kept or left out, in a few words, some of them their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from victor_dsl.components.compaction._newest import NEWEST
from victor_dsl.components.compaction._reading import Reading
from victor_dsl.components.compaction._worth import Marks, Worth

MOST_WORDS = 3


def explain(reading: Reading, worth: Worth, kept: Marks, newest: Collection[int]) -> Mapping[int, str]:
    """The reason for each group, by what counts most of what it is worth."""
    named = worth.named()
    return {
        group: NEWEST
        if group in newest
        else _kept(reading, worth, group, float(named[group]))
        if kept[group]
        else _left_out(reading, group)
        for group in range(reading.size)
    }


def _kept(reading: Reading, worth: Worth, group: int, named: float) -> str:
    told, near = worth.told[group], worth.near[group]
    if near > max(told, named):
        asked = reading.held[reading.holder == worth.asking]
        marked = np.zeros(len(reading.rarity))
        marked[asked] = reading.rarity[asked]
        words = reading.spelled(group, marked, MOST_WORDS)
        return f"near the latest message: {', '.join(words)}" if words else "beside what is near the latest message"
    if named > told:
        return f"names {', '.join(reading.spelled(group, worth.weights, MOST_WORDS))}"
    words = reading.spelled(group, reading.rarity, MOST_WORDS)
    return f"tells of {', '.join(words)}" if words else "fits what room is left"


def _left_out(reading: Reading, group: int) -> str:
    return "repeats an earlier one" if reading.repeats[group] else "worth less for its tokens"
