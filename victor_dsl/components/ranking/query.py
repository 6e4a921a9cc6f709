"""The query that a conversation makes: its latest user message, together with earlier ones where that says little."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from victor_dsl.components.ranking.words import query_weight, terms
from victor_dsl.values.frozen import value
from victor_dsl.values.turn import Turn

ENOUGH_TERMS = 4
"""A message with fewer terms ("yes", "do it again") is read together with those before it."""

LOOK_BACK = 4
"""How many earlier messages are read at most; each counts half as much as the one after it."""

LONGEST_TEXT = 8_000
"""Of a longer message (a pasted file) only the two ends are read, this many characters in all."""

MOST_CLAUSES = 8
"""Of a message with more clauses, only this many count by themselves: half of them the first ones, half the last."""

CLAUSES = 0.5
"""The weight of the clause that a tool fits best, against that of the whole query."""

WEAK_CLAUSE = 0.25
"""The power of a clause's evidence, against that of the strongest clause: with 0 all clauses count alike."""

REMEMBERED_TEXTS, LONGEST_REMEMBERED = 512, 2_000
"""Texts up to this length (in characters) are read once: a turn meets those of the turns before again."""

_CLAUSE_ENDS = re.compile(r"(?<=[.!?;])\s+|(?<=[\u3002\uff01\uff1f\uff1b])|\n+")


@value(eq=False)
class Query:
    """A text that asks for tools, its terms with their weights, and where it has several clauses, each as a query."""

    text: str
    words: dict[str, float]
    clauses: tuple[Query, ...] = ()


def query_of(turn: Turn) -> Query:
    """What the conversation asks for. The text is empty where no word of it is a term."""
    queries: list[Query] = []  # of the latest user message and of those before it, latest first
    words: dict[str, float] = {}
    for message in reversed(turn.messages):
        if message.role == "user" or (queries and message.role == "assistant"):
            query = read(both_ends(message.own_words(), LONGEST_TEXT))
            share = 0.5 ** len(queries)
            words = {term: share * weight for term, weight in query.words.items()} | words if queries else query.words
            queries.append(query)
            if len(words) >= ENOUGH_TERMS or len(queries) > LOOK_BACK:
                break
    if not words:
        return Query("", {})
    return queries[0] if len(queries) == 1 else Query("\n".join([query.text for query in reversed(queries)]), words)


def read(text: str) -> Query:
    """One text as a query."""
    return _remembered_query(text) if len(text) <= LONGEST_REMEMBERED else _read(text)


def both_ends(text: str, most: int) -> str:
    """The text, or its beginning and its end where it has more than so many characters."""
    return text if len(text) <= most else f"{text[: most // 2]} {text[-most // 2 :]}"


def clause_factors(best: float, strengths: Sequence[float]) -> tuple[float, list[float]]:
    """The weights of the whole query and of each clause.

    `best` is the best tool's score by the whole query and `strengths` those by each clause. The score of a tool is the sum
    of its score by the whole query and of its best by a clause: so the right tool for each thing that is asked for comes
    before a second tool for the thing that most of the text is about.
    """
    strongest = max(strengths, default=0.0)
    if best <= 0 or strongest <= 0:
        return 1.0, [0.0] * len(strengths)
    return (1 - CLAUSES) / best, [
        CLAUSES * (strength / strongest) ** WEAK_CLAUSE / strength if strength > 0 else 0.0 for strength in strengths
    ]


def _read(text: str) -> Query:
    words: dict[str, float] = {}
    clauses: list[Query] = []
    for part in _CLAUSE_ENDS.split(text):
        found = {term: query_weight(term) for term in terms(part)}
        words |= found
        if 1.0 in found.values():  # greetings and bare numbers ask for nothing
            clauses.append(Query(part, found))
    if len(clauses) == 1:
        clauses = []
    elif len(clauses) > MOST_CLAUSES:
        clauses = clauses[: MOST_CLAUSES // 2] + clauses[-MOST_CLAUSES // 2 :]
    return Query(text, words, tuple(clauses))


_remembered_query = lru_cache(maxsize=REMEMBERED_TEXTS)(_read)
