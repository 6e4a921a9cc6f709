"""A lexical index of tools: BM25F over the words of names, descriptions and parameters."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, MutableSequence, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from attrs import frozen

from victor_dsl.components.ranking.catalogue import LARGE
from victor_dsl.components.ranking.query import Query, clause_factors
from victor_dsl.components.ranking.spelling import Spelling
from victor_dsl.components.ranking.tool_texts import field_texts
from victor_dsl.components.ranking.words import terms
from victor_dsl.lazy import Lazy
from victor_dsl.values.tool import Tool

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")  # large catalogues only: importing it takes longer than a turn

NAME, DESCRIPTION, PARAMETER_NAME, PARAMETER_TEXT = 2.0, 1.0, 1.0, 0.5
"""The weights of the four fields."""

SATURATION, LENGTH = 1.2, 0.5
"""BM25F's k1 and b, b alike for all fields (Robertson & Zaragoza 2009, §3.6)."""

NAMED = 0.5
"""How much more a tool counts when all words of its name are in the query. The rarer a word, the greater its share of this."""

SIMILAR_SPELLING = 0.5
"""The weight of a word that is only spelled like one of the query's."""

FINALISTS = LARGE
"""How many tools of a large catalogue are scored exactly: more than any model is offered."""


@frozen(eq=False)
class Posting:
    """The tools that contain a term: their positions, and the term's BM25F weight in each.

    `named` are those that have it in their name, and `shares` its share of each of these names.
    """

    positions: MutableSequence[int]
    weights: MutableSequence[float]
    named: MutableSequence[int]
    shares: MutableSequence[float]


Matches = Mapping[str, Sequence[tuple[float, Posting]]]
"""For each term of a query the postings that it matches, each with its factor."""


class Index:
    """The tools of one catalogue by their words. Unless `exact`, unknown words match those that are spelled like them."""

    def __init__(self, tools: tuple[Tool, ...], *, exact: bool = False) -> None:
        self.tools = tools
        fields = [[terms(text) for text in field_texts(tool)] for tool in tools]
        self._postings = _postings(fields)
        self._spelling = Spelling(() if exact else self._postings)

    def scores(self, query: Query, among: Collection[int] | None = None) -> dict[int, float]:
        """The scores by position of the tools that share a word with the query, of those `among`, if given.

        Of a large catalogue only the best tools have a score.
        """
        matches: Matches = {term: self._matches(term, weight) for term, weight in query.words.items()}
        if among is not None or len(self.tools) > FINALISTS:
            matches = _among_finalists(matches, len(self.tools), among)
        whole = _sum(chain.from_iterable(matches.values()))
        if not query.clauses:
            return whole
        return _merged(whole, [_sum(match for term in part.words for match in matches[term]) for part in query.clauses])

    def _matches(self, term: str, weight: float) -> list[tuple[float, Posting]]:
        posting = self._postings.get(term)
        if posting is not None:
            return [(weight, posting)]
        similar = self._spelling.similar(term)
        return [(weight * cosine * SIMILAR_SPELLING, self._postings[other]) for other, cosine in similar]


def best_first(scores: Mapping[int, float]) -> list[int]:
    """The positions that have a score, the best first; equals in their order."""
    return sorted(sorted(scores), key=scores.__getitem__, reverse=True)


def _sum(matches: Iterable[tuple[float, Posting]]) -> dict[int, float]:
    """The scores by some terms: the sum of their weights in a tool, more if they are its name."""
    scores: dict[int, float] = {}
    named: dict[int, float] = {}
    for factor, posting in matches:
        for position, weight in zip(posting.positions, posting.weights, strict=True):
            scores[position] = scores.get(position, 0.0) + factor * weight
        if posting.named:
            for position, share in zip(posting.named, posting.shares, strict=True):
                named[position] = named.get(position, 0.0) + factor * share
    for position, share in named.items():
        scores[position] *= 1 + NAMED * share
    return scores


def _merged(whole: Mapping[int, float], clauses: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """The scores by the whole query and by the clause that fits each tool best."""
    strengths = [max(scores.values(), default=0.0) for scores in clauses]
    factor, factors = clause_factors(max(whole.values(), default=0.0), strengths)
    best: dict[int, float] = {}
    for factor_of_clause, scores in zip(factors, clauses, strict=True):
        for position, score in scores.items():
            if (scaled := factor_of_clause * score) > best.get(position, 0.0):
                best[position] = scaled
    return {position: factor * score + best.get(position, 0.0) for position, score in whole.items()}


def _among_finalists(matches: Matches, size: int, among: Collection[int] | None) -> Matches:
    """The matches with the tools alone whose plain sums are the greatest: the others cannot become the best."""
    sums = np.zeros(size, dtype=np.float32)
    for factor, posting in chain.from_iterable(matches.values()):
        sums[np.asarray(posting.positions, np.intc)] += np.asarray(posting.weights, np.float32) * factor
    if among is not None:
        others = np.ones(size, dtype=np.bool_)
        others[np.fromiter(among, np.intp, len(among))] = False
        sums[others] = 0
    is_finalist = sums > 0
    if size > FINALISTS:
        is_finalist[np.argpartition(-sums, FINALISTS)[FINALISTS:]] = False

    def reduced(positions: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
        at = np.asarray(positions, np.intc)
        chosen = is_finalist[at]
        return at[chosen].tolist(), np.asarray(values, np.float32)[chosen].tolist()

    return {
        term: [
            (factor, Posting(*reduced(posting.positions, posting.weights), *reduced(posting.named, posting.shares)))
            for factor, posting in found
        ]
        for term, found in matches.items()
    }


def _postings(fields: Sequence[Sequence[Sequence[str]]]) -> dict[str, Posting]:
    """The posting of each term. `fields` has the terms of each tool's four fields."""
    found: dict[str, Posting] = {}
    counts = _weighted_counts(fields)
    rarity = _rarity(counts)
    for position, counted in enumerate(counts):
        for term, count in counted.items():
            posting = found.get(term)
            if posting is None:
                posting = found[term] = Posting(array("i"), array("f"), array("i"), array("f"))
            posting.positions.append(position)
            posting.weights.append(rarity[term] * count * (SATURATION + 1) / (count + SATURATION))
    names = [dict.fromkeys(term for term in tool[0] if not term.isdigit()) for tool in fields]
    rarity = _rarity(names)
    for position, name in enumerate(names):
        total = sum(rarity[term] for term in name)
        for term in name:
            found[term].named.append(position)
            found[term].shares.append(rarity[term] / total)
    return found


def _weighted_counts(fields: Sequence[Sequence[Sequence[str]]]) -> list[dict[str, float]]:
    """How often each tool has each term: weighted by field, and the less the longer the field is beside others."""
    weights = (NAME, DESCRIPTION, PARAMETER_NAME, PARAMETER_TEXT)
    means = [sum(map(len, column)) / len(column) or 1.0 for column in zip(*fields, strict=True)]
    counts: list[dict[str, float]] = []
    for tool in fields:
        counted: dict[str, float] = {}
        for found, weight, mean in zip(tool, weights, means, strict=True):
            share = weight / (1 - LENGTH + LENGTH * len(found) / mean)
            for term in found:
                counted[term] = counted.get(term, 0.0) + share
        counts.append(counted)
    return counts


def _rarity(texts: Sequence[Mapping[str, object]]) -> dict[str, float]:
    """The inverse document frequency of each term."""
    containing = Counter(chain.from_iterable(texts))
    return {term: math.log(1 + (len(texts) - count + 0.5) / (count + 0.5)) for term, count in containing.items()}
