"""Terms: the words of a text in the form in which tools and requests are compared."""

from __future__ import annotations

import re
from functools import lru_cache

TALK = 0.3
"""The weight of words that people use whatever they ask for ("help", "need"), however rare they are among the tools."""

NUMBER = 0.3
"""The weight of a number: it is mostly a value, rarely part of a tool's name."""

LONGEST_REMEMBERED = 32
"""Longer runs of letters are not cached: they are rarely words, and may be large."""

_RUN = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_STOP = frozenset(
    """a an and any are as at be been but by can could did do does for from had has have he her his how i if in into is it
    its just let like me my no not of ok okay on or our please she should so some than thank thanks that the their them
    then there these they this to up us was we were what when where which who why will with would yes you your""".split()  # noqa: SIM905 -- to be read as text
)
_TALK = """able also assist assistance feel finally first firstly hello help here hey hi interested kindly know last lastly
    look love need next now see tell thing think want wish wonder""".split()  # noqa: SIM905 -- to be read as text


def terms(text: str) -> list[str]:
    """The terms of a text in order: lower case, without stop words and endings; snake_case, camelCase and digits are split.

    Scripts that are written without spaces give each pair of neighbouring characters.
    """
    found: list[str] = []
    for run in _RUN.findall(text):
        found += _remembered_terms(run) if len(run) <= LONGEST_REMEMBERED else _terms_of_run(run)
    return found


def query_weight(term: str) -> float:
    """How much a term of a request counts."""
    return TALK if term in _TALK_TERMS else NUMBER if term.isdigit() else 1.0


def split_name(name: str) -> str:
    """A name as words: `getUser_name` is `get User name`."""
    return " ".join(word for run in _RUN.findall(name) for word in _HUMP.split(run))


def _terms_of_run(run: str) -> tuple[str, ...]:
    """The terms of a run of letters or digits. A number is one term as it is: `4711` is not `471`."""
    if run.isdigit():
        return (run,)
    if _UNSPACED.search(run):
        return tuple(run[i : i + 2] for i in range(max(1, len(run) - 1)))
    return tuple(_stem(word) for word in map(str.casefold, _HUMP.split(run)) if word not in _STOP)


_remembered_terms = lru_cache(maxsize=8192)(_terms_of_run)


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


_TALK_TERMS = frozenset(map(_stem, _TALK))
