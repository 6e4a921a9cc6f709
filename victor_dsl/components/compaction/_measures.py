"""What the groups of a history are worth keeping for: facts told, identifiers named, and what the latest message asks for."""

from __future__ import annotations

import numpy as np

from victor_dsl.components.compaction._lexicon import IDENTIFIER, SYMBOL
from victor_dsl.components.compaction._reading import Floats, Reading

SATURATION, LENGTH = 1.2, 0.6
"""BM25's k1 and b."""


def facts(reading: Reading) -> Floats:
    """How much a group tells.

    That is what it says for the first time and what the next one takes up, the rarer the more; that something happened;
    times, amounts and names. An answer tells more than what nobody asked for, and who speaks of himself more than who
    speaks of the other or asks. The weights are rounded ones of a logistic regression: which messages of long chats
    between people do questions about them go back to?
    """
    rarity = reading.rarity[reading.held]
    new = reading.sums(rarity * (np.where(reading.is_first, 1.0, 0.1) + reading.is_taken_up))
    told = (
        4 * np.minimum(_beyond_form(reading.times), 2)
        + 2 * np.minimum(_beyond_form(reading.past), 3)
        + 1.5 * np.minimum(_beyond_form(reading.names), 3)
        + np.minimum(_beyond_form(reading.amounts), 3)
    )
    about = (reading.first_person - reading.second_person) / (reading.first_person + reading.second_person + 1)
    asking = reading.questions / np.maximum(reading.sentences, 1)
    answers = np.zeros(reading.size)
    answers[1:] = reading.questions[:-1] > 0
    worth: Floats = (new + told) * (1 + 0.5 * answers) * (1 + 0.4 * about) * (1 - 0.2 * asking)
    return worth


def identifying(reading: Reading) -> Floats:
    """By term: how much it identifies. What was an argument of a call before is likelier to be one again."""
    weights = np.zeros(len(reading.kinds))
    weights[reading.kinds == IDENTIFIER] = 1.0
    weights[reading.kinds == SYMBOL] = 0.5
    return weights * np.where(reading.used, 2.0, 1.0)


def identifier_share(reading: Reading) -> float:
    """From 0, a chat, to 1, an agent's work: which of the two a history is, by the share of its terms that name things.

    Terms are counted once each: a time that stands before every message makes no agent of a chat.
    """
    present = np.bincount(reading.held, minlength=len(reading.kinds)) > 0
    share = (present & (reading.kinds >= SYMBOL)).sum() / max(present.sum(), 1)
    return float(np.clip((share - 0.04) / 0.06, 0, 1))


def _beyond_form(counts: Floats) -> Floats:
    """The counts beyond what nine groups in ten have: a date or a name that stands before every message tells nothing."""
    return np.maximum(counts - np.percentile(counts, 10), 0) if len(counts) else counts


def relevance(reading: Reading, asking: int) -> Floats:
    """How near each group is to what group `asking` says: BM25 and, in part, that of the neighbours; 1 is the nearest.

    What follows a hit often says more of it, and what stands before led to it. The square lets few good hits win over many poor ones.
    """
    asked = np.zeros(len(reading.rarity))
    asked[reading.held[reading.holder == asking]] = 1
    length = np.bincount(reading.holder, minlength=reading.size)
    norm = SATURATION * (1 - LENGTH + LENGTH * length / max(length.mean(), 1))
    found = reading.sums((asked * reading.rarity)[reading.held]) * (SATURATION + 1) / (1 + norm)
    found[asking] = 0
    near: Floats = found.copy()
    for distance, after, before in ((1, 0.6, 0.4), (2, 0.3, 0.2)):
        near[distance:] += after * found[:-distance]
        near[:-distance] += before * found[distance:]
    best = near.max(initial=0)
    return (near / best) ** 2 if best > 0 else near
