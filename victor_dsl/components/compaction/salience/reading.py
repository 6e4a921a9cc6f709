"""A history as arrays of what its groups contain. Each text is read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction.salience.lexicon import (
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
from victor_dsl.components.group_text import bounded
from victor_dsl.values.history import Group, History
from victor_dsl.values.message import Message

Floats = npt.NDArray[np.float64]

MOST_CHARACTERS = 40_000
"""Of a longer text only the two ends are read, so that the contents of a large file do not delay a turn."""
MOST_CACHED_RUNS = 4_000_000
"""The most runs of earlier texts in the cache, 16 MB."""
MOST_LEXICON_RUNS = 500_000
"""A lexicon with more runs is replaced by an empty one."""


class Reader:
    """Reads messages and caches them by their text. Several threads may use it; one at a time reads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._reset()

    def read(self, history: History, given_up: Callable[[], bool]) -> Reading:
        """All groups of a history. Raises TimeoutError once `given_up`."""
        with self._lock:
            if len(self._lexicon) > MOST_LEXICON_RUNS:
                self._reset()
            rows: list[Runs] = []
            for number, group in enumerate(history.groups):
                if number % 256 == 0 and given_up():
                    raise TimeoutError("reading the history was abandoned")
                rows.append(self._row(history.messages, group))
            while self._cached_runs > MOST_CACHED_RUNS:
                self._cached_runs -= len(self._cache.popitem(last=False)[1])
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
        runs = self._cache.get(key)
        if runs is None:
            runs = self._cache[key] = self._lexicon.read(bounded(text, MOST_CHARACTERS))
            self._cached_runs += len(runs)
        else:
            self._cache.move_to_end(key)
        return runs

    def _reset(self) -> None:
        self._lexicon = Lexicon()
        self._cache: OrderedDict[int, Runs] = OrderedDict()
        self._cached_runs = 0


class Reading:
    """What the groups of one history contain.

    Three kinds of arrays: by group (`questions`, `times`, `repeats` …), by term (`rarity`, `sorts`, `used`), and by pair of
    a group and a term in it (`groups`, `terms`, `is_first`, `is_taken_up`). A pair is there once for each group that has the
    term, ordered by group; only terms that tell something count. `rarity` is BM25's inverse document frequency (Robertson &
    Zaragoza 2009, §3.1), with groups as documents.
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
        pairs = _distinct(owner[telling] * np.int64(lexicon.term_count) + term[telling])
        self.groups, self.terms = np.divmod(pairs, max(lexicon.term_count, 1))
        places = np.searchsorted(pairs, pairs + lexicon.term_count)
        self.is_taken_up = pairs[np.minimum(places, len(pairs) - 1)] == pairs + lexicon.term_count
        """By pair: whether the next group has the term as well."""
        groups_with = np.bincount(self.terms, minlength=lexicon.term_count)
        self.rarity = np.log1p((self.size - groups_with + 0.5) / (groups_with + 0.5))
        self.sorts = np.zeros(lexicon.term_count, dtype=np.uint8)
        np.maximum.at(self.sorts, term, sort)
        """By term: the highest sort among its forms."""
        first = np.zeros(lexicon.term_count, dtype=np.int64)
        first[self.terms[::-1]] = self.groups[::-1]  # of repeated indices the last value stays: that of the first group
        self.is_first = first[self.terms] == self.groups
        """By pair: whether no earlier group has the term."""
        texts: dict[bytes, int] = {}
        firsts = [texts.setdefault(row.tobytes(), number) for number, row in enumerate(rows)]
        self.repeats = np.array(firsts, dtype=np.int64) < np.arange(self.size)
        """By group: whether an earlier one says the same, word for word."""
        calling = {number for number, message in enumerate(history.messages) if message.tool_calls}
        called = np.array([not calling.isdisjoint(group.indices) for group in history.groups], dtype=np.bool_)
        self.used = np.zeros(lexicon.term_count, dtype=np.bool_)
        """By term: whether a tool call or its result contains it."""
        self.used[self.terms[called[self.groups]]] = True

    def asks(self, group: int) -> bool:
        """Whether a group asks for something: it has a question mark, or a sentence that begins like a request."""
        return bool(self.questions[group] + self.requests[group])

    def spelled(self, group: int, weights: Floats, most: int) -> list[str]:
        """The group's words with the highest weights, by term, as first written there and in that order."""
        own = self.terms[self.groups == group]
        best = own[np.argsort(-weights[own], kind="stable")[:most]]
        tokens = self._tokens[self._owner == group]
        terms, places = np.unique(self._lexicon.arrays.term[tokens], return_index=True)
        tokens_by_number = list(self._lexicon.tokens)
        found = sorted(places[np.isin(terms, best[weights[best] > 0])].tolist())
        return [tokens_by_number[tokens[place]] for place in found]

    def sums(self, weights: Floats) -> Floats:
        """By group: the sum of the weights of its pairs."""
        return counted(self.groups, self.size, weights)

    def _count(self, mask: npt.NDArray[np.bool_]) -> Floats:
        return counted(self._owner[mask], self.size)


def counted(places: Ints, size: int, weights: Floats | None = None) -> Floats:
    """How often each place below `size` occurs, or the sum of the weights there."""
    counts: Floats = np.bincount(places, weights, size).astype(np.float64)
    return counts


def _distinct(numbers: Ints) -> Ints:
    """The numbers, ascending, each once. `np.unique` hashes them, which takes five times as long if few repeat."""
    numbers = np.sort(numbers)
    distinct: Ints = numbers[np.diff(numbers, prepend=-1) != 0]
    return distinct
