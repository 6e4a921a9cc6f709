"""Measures of the groups of a history: facts told, identifiers named, and nearness to the latest message."""

from __future__ import annotations

import numpy as np

from victor_dsl.components.compaction.salience.lexicon import IDENTIFIER, SYMBOL
from victor_dsl.components.compaction.salience.reading import Floats, Reading

SATURATION, LENGTH = 1.2, 0.6
"""BM25's k1 and b."""


def facts(reading: Reading) -> Floats:
    """How informative each group is.

    New words count, and words that the next group takes up, the rarer the more; also that something happened, times, amounts
    and names. An answer tells more than a remark, and people tell more where they speak of themselves than where they
    speak of the other or ask. The weights come from a logistic regression, rounded: which messages of long chats between
    people do later questions about the chat refer to?
    """
    rarity = reading.rarity[reading.terms]
    new = reading.sums(rarity * (np.where(reading.is_first, 1.0, 0.1) + reading.is_taken_up))
    told = (  # each up to a bound: a long list of dates or names must not win over several messages with one each
        4 * np.minimum(_beyond_usual(reading.times), 2)
        + 2 * np.minimum(_beyond_usual(reading.past), 3)
        + 1.5 * np.minimum(_beyond_usual(reading.names), 3)
        + np.minimum(_beyond_usual(reading.amounts), 3)
    )
    about_oneself = (reading.first_person - reading.second_person) / (reading.first_person + reading.second_person + 1)
    asking = reading.questions / np.maximum(reading.sentences, 1)
    is_answer = np.zeros(reading.size)
    is_answer[1:] = reading.questions[:-1] > 0
    worth: Floats = (new + told) * (1 + 0.5 * is_answer) * (1 + 0.4 * about_oneself) * (1 - 0.2 * asking)
    return worth


def identifying(reading: Reading) -> Floats:
    """How much each term identifies something. An argument of an earlier call is likelier to be one again.

    Measured by the recall of what later calls need, in recorded work of an airline's agent: symbols that weigh as much as
    identifiers cost 3 % at half of the tokens, a quarter as much costs 2 % at a tenth; without the factor for arguments it is 1 %.
    """
    weights = np.zeros(len(reading.sorts))
    weights[reading.sorts == IDENTIFIER] = 1.0
    weights[reading.sorts == SYMBOL] = 0.5
    return weights * np.where(reading.used, 2.0, 1.0)


def identifier_share(reading: Reading) -> float:
    """How much of an agent's work a history is, from 0 (a chat) to 1, by the share of its terms that identify something.

    Up to 4 % of such terms it is a chat, from 10 % on an agent's work, and between these partly both. Each term counts
    once: a time in front of every message makes no agent's work of a chat.
    """
    is_present = np.bincount(reading.terms, minlength=len(reading.sorts)) > 0
    share = (is_present & (reading.sorts >= SYMBOL)).sum() / max(is_present.sum(), 1)
    return float(np.clip((share - 0.04) / 0.06, 0, 1))


def relevance(reading: Reading, asking: int) -> Floats:
    """How near each group is to what group `asking` says, from 0 to 1: by BM25, in part that of its neighbours.

    What follows a match often says more about it, and what precedes it led to it. The square lets a few good matches win
    over many poor ones.
    """
    asked = np.zeros(len(reading.rarity))
    asked[reading.terms[reading.groups == asking]] = 1
    length = np.bincount(reading.groups, minlength=reading.size)
    norm = SATURATION * (1 - LENGTH + LENGTH * length / max(length.mean(), 1))
    matches = reading.sums((asked * reading.rarity)[reading.terms]) * (SATURATION + 1) / (1 + norm)
    matches[asking] = 0
    near: Floats = matches.copy()
    for distance, after, before in ((1, 0.6, 0.4), (2, 0.3, 0.2)):
        near[distance:] += after * matches[:-distance]
        near[:-distance] += before * matches[distance:]
    best = near.max(initial=0)
    return (near / best) ** 2 if best > 0 else near


def _beyond_usual(counts: Floats) -> Floats:
    """The counts beyond what nine groups in ten have: a date or a name in front of every message tells nothing."""
    return np.maximum(counts - np.percentile(counts, 10), 0) if len(counts) else counts
