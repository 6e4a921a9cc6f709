"""A lexical index of tools: BM25 over the words of names, descriptions and parameters."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from victor_dsl.values.tool import Tool

NAME, DESCRIPTION, PARAMETER_NAME, PARAMETER_DESCRIPTION = 3.0, 1.0, 1.0, 0.5
"""How much a word counts by where it stands."""

SATURATION, LENGTH = 1.2, 0.5
"""BM25's k1 and b (Robertson & Zaragoza 2009, §3.4)."""

DEEPEST_PARAMETER = 4

LONGEST_KNOWN = 32
"""Up to this length a word is remembered with its terms."""

_WORD = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_STOP = frozenset(
    """a an and any are as at be been but by can could did do does for from had has have he her his how i if in into is it
    its just let like me my no not of ok okay on or our please she should so some than thank thanks that the their them
    then there these they this to up us was we were what when where which who why will with would yes you your""".split()  # noqa: SIM905 -- to be read as text
)


class Index:
    """The tools of one catalogue by their words. Immutable once built."""

    def __init__(self, tools: tuple[Tool, ...]) -> None:
        self.tools = tools
        counts = [_weighted_terms(tool) for tool in tools]
        lengths = [sum(count.values()) for count in counts]
        mean = sum(lengths) / len(lengths) if any(lengths) else 1.0
        containing = Counter(term for count in counts for term in count)
        self._postings: dict[str, tuple[array[int], array[float]]] = {}
        for position, count in enumerate(counts):
            norm = SATURATION * (1 - LENGTH + LENGTH * lengths[position] / mean)
            for term, weight in count.items():
                idf = math.log(1 + (len(tools) - containing[term] + 0.5) / (containing[term] + 0.5))
                positions, scores = self._postings.setdefault(term, (array("i"), array("d")))
                positions.append(position)
                scores.append(idf * weight * (SATURATION + 1) / (weight + norm))

    def scores(self, query: Mapping[str, float]) -> dict[int, float]:
        """The scores of the tools that share a word with the query, by position."""
        total: dict[int, float] = {}
        for term, weight in query.items():
            for position, score in zip(*self._postings.get(term, ((), ())), strict=True):
                total[position] = total.get(position, 0.0) + weight * score
        return total

    def rank(self, query: Mapping[str, float]) -> list[int]:
        """Positions of the tools that share a word with the query, best first; equals in their order."""
        total = self.scores(query)
        return sorted(total, key=lambda position: (-total[position], position))


def terms(text: str) -> Iterator[str]:
    """The telling words of a text, lower case and without endings; snake_case, camelCase and digits are split.

    Scripts that are written without spaces give each pair of neighbouring characters.
    """
    for run in _WORD.findall(text):
        yield from _known_run(run) if len(run) <= LONGEST_KNOWN else _run(run)


def spelled_out(tool: Tool) -> str:
    """A tool as a text to read: its name in words, its description, its parameters."""
    name = " ".join(word for run in _WORD.findall(tool.name) for word in _HUMP.split(run))
    parameters = ", ".join(text for text, _ in _parameters(tool.parameters))
    return f"{name}. {tool.description} {parameters}".strip()


def _run(run: str) -> tuple[str, ...]:
    """The terms of a run of letters or digits."""
    if _UNSPACED.search(run):
        return tuple(run[i : i + 2] for i in range(max(1, len(run) - 1)))
    return tuple(_stem(word) for word in map(str.casefold, _HUMP.split(run)) if word not in _STOP)


_known_run = lru_cache(maxsize=8192)(_run)  # people use few words, again and again: a third of a turn's time


def _stem(word: str) -> str:
    """The word without a common English ending: enough to match `bookings` with `book_flight`."""
    for ending, instead, shortest in (("ies", "y", 5), ("sses", "ss", 5), ("s", "", 4)):
        if word.endswith(ending) and len(word) >= shortest and not word.endswith(("ss", "us", "is")):
            word = word.removesuffix(ending) + instead
            break
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    if len(word) > 3:
        word = word.removesuffix("e")
        if word[-1] == word[-2]:
            word = word[:-1]
    return word


def _weighted_terms(tool: Tool) -> dict[str, float]:
    weights: dict[str, float] = {}
    for text, weight in ((tool.name, NAME), (tool.description, DESCRIPTION), *_parameters(tool.parameters)):
        for term in terms(text):
            weights[term] = weights.get(term, 0.0) + weight
    return weights


def _parameters(schema: Any, depth: int = 0) -> Iterator[tuple[str, float]]:
    """The names and descriptions of a JSON Schema's properties. The schema is anybody's, so nothing is taken for granted."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or depth >= DEEPEST_PARAMETER:
        return
    for name, inner in properties.items():
        yield str(name), PARAMETER_NAME
        if isinstance(inner, Mapping):
            if isinstance(description := inner.get("description"), str):
                yield description, PARAMETER_DESCRIPTION
            yield from _parameters(inner, depth + 1)
            yield from _parameters(inner.get("items"), depth + 1)
