"""A history as arrays: what stands in each of its groups, read once for each text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction._lexicon import (
    AMOUNT,
    ASK,
    FIRST_PERSON,
    NAME,
    PAST,
    REQUEST,
    SECOND_PERSON,
    STOP,
    TIME,
    WORD,
    Ints,
    Lexicon,
    Runs,
)
from victor_dsl.components.compaction._text import bounded
from victor_dsl.values.history import Group, History
from victor_dsl.values.message import Message

Floats = npt.NDArray[np.float64]

MOST_CHARACTERS = 40_000
"""Of a longer text the two ends are read: a dump of a file does not hold up a turn."""
MOST_RUNS = 4_000_000
"""So many runs of texts read before are kept, 16 MB."""
MOST_KNOWN = 500_000
"""A lexicon of more runs is begun anew."""


class Reader:
    """Reads messages, and remembers them by their text; one reading at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def read(self, history: History, given_up: Callable[[], bool]) -> Reading:
        """The reading of all groups. Raises TimeoutError once `given_up`."""
        with self._lock:
            if len(self._lexicon) > MOST_KNOWN:
                self._forget()
            rows: list[Runs] = []
            for number, group in enumerate(history.groups):
                if number % 256 == 0 and given_up():
                    raise TimeoutError("reading the history was given up")
                rows.append(self._row(history.messages, group))
            while self._kept_runs > MOST_RUNS:
                self._kept_runs -= len(self._kept.popitem(last=False)[1])
            return Reading(self._lexicon, rows, history)

    def _row(self, messages: Sequence[Message], group: Group) -> Runs:
        if len(group.indices) == 1:
            return self._runs(messages[group.indices[0]])
        return np.concatenate([self._runs(messages[index]) for index in group.indices])

    def _runs(self, message: Message) -> Runs:
        text = message.content if isinstance(message.content, str) else message.text()
        if message.tool_calls:
            text = "\n".join([text, *(f"{call.name}({call.arguments})" for call in message.tool_calls)])
        key = hash(text)
        runs = self._kept.get(key)
        if runs is None:
            runs = self._kept[key] = self._lexicon.read(bounded(text, MOST_CHARACTERS))
            self._kept_runs += len(runs)
        else:
            self._kept.move_to_end(key)
        return runs

    def _forget(self) -> None:
        self._lexicon = Lexicon()
        self._kept: OrderedDict[int, Runs] = OrderedDict()
        self._kept_runs = 0


class Reading:
    """What the groups of one history say. Arrays are by group, but for `holder` and `held`, which go together.

    `held` are the telling terms of the groups, each once a group, and `holder` the group of each; `rarity` is the terms'
    BM25 inverse document frequency (Robertson & Zaragoza 2009, §3.1), groups being the documents.
    """

    def __init__(self, lexicon: Lexicon, rows: Sequence[Runs], history: History) -> None:
        known = lexicon.arrays
        self.size = len(rows)
        runs = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
        tokens, counts = known.tokens(runs)
        owner = np.repeat(np.repeat(np.arange(self.size), [len(row) for row in rows]), counts)
        self._lexicon, self._tokens, self._owner = lexicon, tokens, owner
        sort, cue, term = known.sort[tokens], known.cues[tokens], known.term[tokens]

        begins = np.ones(len(tokens), dtype=np.bool_)
        if len(tokens):
            begins[1:] = (owner[1:] != owner[:-1]) | (sort[:-1] <= ASK)
        self.questions = self._count(sort == ASK)
        self.requests = self._count(((cue & REQUEST) > 0) & begins)
        self.sentences = self._count(sort == STOP) + self.questions
        self.first_person = self._count((cue & FIRST_PERSON) > 0)
        self.second_person = self._count((cue & SECOND_PERSON) > 0)
        self.times = self._count((cue & TIME) > 0)
        self.amounts = self._count((cue & AMOUNT) > 0)
        self.past = self._count((cue & PAST) > 0)
        self.names = self._count((sort == NAME) & ~begins)

        telling = sort >= WORD
        pairs = _distinct(owner[telling] * np.int64(lexicon.terms) + term[telling])
        self.holder, self.held = np.divmod(pairs, max(lexicon.terms, 1))
        places = np.searchsorted(pairs, pairs + lexicon.terms)
        self.is_taken_up = pairs[np.minimum(places, len(pairs) - 1)] == pairs + lexicon.terms
        """Whether the next group has the held term as well."""
        holders = np.bincount(self.held, minlength=lexicon.terms)
        self.rarity = np.log1p((self.size - holders + 0.5) / (holders + 0.5))
        self.kinds = np.zeros(lexicon.terms, dtype=np.uint8)
        np.maximum.at(self.kinds, term, sort)
        first = np.zeros(lexicon.terms, dtype=np.int64)
        first[self.held[::-1]] = self.holder[::-1]
        self.is_first = first[self.held] == self.holder
        """Whether a held term stands here for the first time."""
        texts: dict[bytes, int] = {}
        firsts = [texts.setdefault(row.tobytes(), number) for number, row in enumerate(rows)]
        self.repeats = np.array(firsts, dtype=np.int64) < np.arange(self.size)
        """Whether an earlier group says the same, word for word."""
        calling = {number for number, message in enumerate(history.messages) if message.tool_calls}
        called = np.array([not calling.isdisjoint(group.indices) for group in history.groups], dtype=np.bool_)
        self.used = np.zeros(lexicon.terms, dtype=np.bool_)
        """By term: whether a call, or what it gave, has it."""
        self.used[self.held[called[self.holder]]] = True

    def asks(self, group: int) -> bool:
        """Whether a group asks for something: by a question mark, or by how a sentence of it begins."""
        return bool(self.questions[group] + self.requests[group])

    def spelled(self, group: int, weights: Floats, most: int) -> list[str]:
        """The group's telling words that weigh most, as they are first written there, in their order."""
        held = self.held[self.holder == group]
        best = held[np.argsort(-weights[held], kind="stable")[:most]]
        tokens = self._tokens[self._owner == group]
        terms, places = np.unique(self._lexicon.arrays.term[tokens], return_index=True)
        tokens_by_number = list(self._lexicon.tokens)
        found = sorted(places[np.isin(terms, best[weights[best] > 0])].tolist())
        return [tokens_by_number[tokens[place]] for place in found]

    def sums(self, weights: Floats) -> Floats:
        """By group: the sum of the weights, one for each held term."""
        return counted(self.holder, self.size, weights)

    def _count(self, mask: npt.NDArray[np.bool_]) -> Floats:
        return counted(self._owner[mask], self.size)


def counted(places: Ints, size: int, weights: Floats | None = None) -> Floats:
    """How often each place up to `size` is named, or what the weights there sum up to."""
    counts: Floats = np.bincount(places, weights, size).astype(np.float64)
    return counts


def _distinct(numbers: Ints) -> Ints:
    """The numbers, ascending, each once; `np.unique` hashes them, which takes five times as long where few repeat."""
    numbers = np.sort(numbers)
    distinct: Ints = numbers[np.diff(numbers, prepend=-1) != 0]
    return distinct
