"""A lexical index of tools: BM25F over the words of names, descriptions and parameters, and how much of a name was said."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from victor_dsl.components.tool_selection._near_words import NearWords
from victor_dsl.components.tool_selection._query import Asked
from victor_dsl.components.tool_selection._texts import field_texts
from victor_dsl.components.tool_selection._words import Words
from victor_dsl.values.tool import Tool

NAME, DESCRIPTION, PARAMETER_NAME, PARAMETER_TEXT = 2.0, 1.0, 1.0, 0.5
"""How much a word counts by where it stands."""

SATURATION, LENGTH = 1.2, 0.5
"""BM25F's k1 and b, b alike for all fields (Robertson & Zaragoza 2009, §3.6)."""

NAMED = 0.5
"""How much more a tool counts whose name was said whole. Each word of a name has a share of it, the rarer the greater."""

NEARLY = 0.5
"""How much a word that is only written alike counts."""

CLAUSES = 0.5
"""The weight of the clause that a tool fits best, against that of the whole request."""

WEAK_CLAUSE = 0.25
"""The power of a clause's evidence, against that of the best one: with 0 all clauses count alike."""


def merged(whole: dict[int, float], clauses: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """Scores by the whole request, and by that of its clauses which fits best; the best of each counts alike.

    So the tool of each thing that is asked for comes before further ones for the thing of which most is said.
    """
    of_clauses = [(max(scores.values()), scores) for scores in clauses if scores]
    strongest = max((strength for strength, _ in of_clauses), default=0.0)
    best = max(whole.values(), default=0.0)
    if strongest <= 0 or best <= 0:
        return whole
    fits: dict[int, float] = {}
    for strength, scores in of_clauses:
        weight = (strength / strongest) ** WEAK_CLAUSE / strength if strength > 0 else 0.0
        for position, score in scores.items():
            if weight * score > fits.get(position, 0.0):
                fits[position] = weight * score
    return {
        position: (1 - CLAUSES) * whole.get(position, 0.0) / best + CLAUSES * fits.get(position, 0.0)
        for position in {**whole, **fits}
    }


def best_first(scores: Mapping[int, float]) -> list[int]:
    """The positions that have a score, the best first; equals in their order."""
    return sorted(scores, key=lambda position: (-scores[position], position))


@frozen(eq=False)
class Posting:
    """The tools that have a term, by position: what it is worth there, and its share of the tool's name."""

    positions: array[int]
    worth: array[float]
    named: array[int]
    shares: array[float]


class Index:
    """The tools of one catalogue by their words. Where not `exact`, unknown words stand for those that are written alike."""

    def __init__(self, tools: tuple[Tool, ...], words: Words, *, exact: bool = False) -> None:
        self.tools = tools
        self._postings: dict[str, Posting] = {}
        fields = [[words.terms(text) for text in field_texts(tool)] for tool in tools]
        self._add_worth(fields)
        self._add_shares([dict.fromkeys(word for word in names if not word.isdigit()) for names, *_ in fields])
        self._near = self._near_words(() if exact else self._postings)

    def scores(self, asked: Asked, among: Collection[int] | None = None) -> dict[int, float]:
        """The scores of the tools that share a word with the request, by position; only of those `among`, if given."""
        whole = self._sums(asked.whole.words, among)
        return merged(whole, [self._sums(clause.words, among) for clause in asked.clauses]) if asked.clauses else whole

    def _sums(self, terms: Mapping[str, float], among: Collection[int] | None) -> dict[int, float]:
        """The scores by one list of words."""
        worth: dict[int, float] = {}
        said: dict[int, float] = {}
        for weight, posting in self._matching(terms):
            for position, value in zip(posting.positions, posting.worth, strict=True):
                worth[position] = worth.get(position, 0.0) + weight * value
            if posting.named:
                for position, share in zip(posting.named, posting.shares, strict=True):
                    said[position] = said.get(position, 0.0) + weight * share
        for position, share in said.items():
            worth[position] *= 1 + NAMED * share
        return worth if among is None else {position: worth[position] for position in worth if position in among}

    def _matching(self, terms: Mapping[str, float]) -> Iterator[tuple[float, Posting]]:
        """What is known of each term; of one that is not, what is known of those that are written alike."""
        for term, weight in terms.items():
            posting = self._postings.get(term)
            if posting is not None:
                yield weight, posting
            else:
                for other, near in self._near.of(term):
                    yield weight * near * NEARLY, self._postings[other]

    def _near_words(self, vocabulary: Collection[str]) -> NearWords:
        return NearWords(vocabulary)

    def _add_worth(self, fields: Sequence[Sequence[Sequence[str]]]) -> None:
        """BM25F's value of each term for each tool."""
        weights = (NAME, DESCRIPTION, PARAMETER_NAME, PARAMETER_TEXT)
        means = [sum(map(len, column)) / len(column) or 1.0 for column in zip(*fields, strict=True)]
        frequencies: list[dict[str, float]] = []
        for tool in fields:
            frequency: dict[str, float] = {}
            for terms, weight, mean in zip(tool, weights, means, strict=True):
                counted = weight / (1 - LENGTH + LENGTH * len(terms) / mean)
                for term in terms:
                    frequency[term] = frequency.get(term, 0.0) + counted
            frequencies.append(frequency)
        rarity = _rarity(frequencies)
        for position, frequency in enumerate(frequencies):
            for term, count in frequency.items():
                posting = self._postings.get(term)
                if posting is None:
                    posting = self._postings[term] = Posting(array("i"), array("f"), array("i"), array("f"))
                posting.positions.append(position)
                posting.worth.append(rarity[term] * count * (SATURATION + 1) / (count + SATURATION))

    def _add_shares(self, names: Sequence[Mapping[str, None]]) -> None:
        """Each term's share of the names that it stands in."""
        rarity = _rarity(names)
        for position, name in enumerate(names):
            total = sum(rarity[term] for term in name)
            for term in name:
                self._postings[term].named.append(position)
                self._postings[term].shares.append(rarity[term] / total)


def _rarity(texts: Sequence[Mapping[str, object]]) -> dict[str, float]:
    """The inverse document frequency of each term."""
    containing = Counter(term for text in texts for term in text)
    return {term: math.log(1 + (len(texts) - count + 0.5) / (count + 0.5)) for term, count in containing.items()}
