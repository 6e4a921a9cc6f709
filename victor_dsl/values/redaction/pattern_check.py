"""Checks that users' regular expressions are safe on any text: matches have a bounded length, and little backtracking."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as op  # type: ignore[attr-defined]  # the parser that `re` itself uses; there is no public one
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 1_000
"""The longest match of a pattern in characters, including what it looks at around the match."""
MOST_WAYS = 1_000
"""The most ways in which a pattern may try to match at one place: the cost of backtracking."""
MOST_STEPS = 20_000
"""The most characters that a pattern may compare at one place, in all these ways together: about 15 µs."""

_ONE = frozenset({op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN})
_WORDS = frozenset({op.AT_BOUNDARY, op.AT_NON_BOUNDARY})


def check_pattern(pattern: str) -> int:
    """How many characters from the beginning of a match the pattern may look at. Raises ValueError for an unsafe pattern."""
    try:
        parsed = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    least, longest = parsed.getwidth()
    if not least:
        raise ValueError("it matches the empty text")
    if longest > LONGEST:
        raise ValueError(
            f"it may match more than {LONGEST:,} characters; use bounds, such as `{{1,20}}` instead of `+`"
        )
    if _ways(parsed) > MOST_WAYS or _steps(parsed) > MOST_STEPS:
        raise ValueError(
            "some texts would make it slow, since it can match in too many ways; narrow its repetitions, do not nest them, or "
            "write `{1,20}+` for one that need not give anything back"
        )
    reach = int(longest) + _around(parsed) + 1
    if reach > 2 * LONGEST:
        raise ValueError(f"it looks at more than {LONGEST:,} characters around a match")
    return reach


def _ways(items: Iterable[Any]) -> float:
    """In how many ways a sequence can match; what follows it may be tried again after each."""
    ways = 1.0
    for kind, argument in items:
        ways *= _ways_of(kind, argument)
    return ways


def _ways_of(kind: Any, argument: Any) -> float:
    if kind in _ONE:
        return 1.0
    if kind is op.AT:
        if argument not in _WORDS:
            raise ValueError("`^`, `$`, `\\A` and `\\Z` have no meaning in a stream; use `\\b`")
        return 1.0
    if kind is op.BRANCH:
        return sum(map(_ways, argument[1]))
    if kind is op.SUBPATTERN:
        return _ways(argument[-1])
    if kind in (op.ATOMIC_GROUP, op.ASSERT, op.ASSERT_NOT):
        return _ways(argument if kind is op.ATOMIC_GROUP else argument[1])
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        least, most, inner = argument
        ways = _ways(inner)
        if kind is op.POSSESSIVE_REPEAT:
            return ways * max(1, int(most) if ways > 1 else 1)
        if most > 2 * LONGEST:
            return float("inf")
        return sum(min(ways, 1e6) ** min(n, 50) for n in range(int(least), int(most) + 1))
    raise ValueError("it refers back to a group; write out the text instead")


def _steps(items: Iterable[Any]) -> float:
    """How many characters a sequence may compare at one place."""
    steps, ways = 0.0, 1.0
    for kind, argument in items:
        steps += ways * _steps_of(kind, argument)
        ways *= _ways_of(kind, argument)
    return steps


def _steps_of(kind: Any, argument: Any) -> float:
    if kind is op.BRANCH:
        return sum(map(_steps, argument[1]))
    if kind is op.SUBPATTERN:
        return _steps(argument[-1])
    if kind in (op.ATOMIC_GROUP, op.ASSERT, op.ASSERT_NOT):
        return _steps(argument if kind is op.ATOMIC_GROUP else argument[1])
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        _, most, inner = argument
        ways = min(_ways(inner), 1e6)
        return _steps(inner) * sum(ways ** min(n, 50) for n in range(int(most)))
    return 1.0


def _around(items: Iterable[Any]) -> int:
    """How far, at most, the assertions of a pattern look beyond its match."""
    far = 0
    for kind, argument in items:
        if kind in (op.ASSERT, op.ASSERT_NOT):
            far += min(int(argument[1].getwidth()[1]), 2 * LONGEST) + _around(argument[1])
        elif kind is op.BRANCH:
            far += sum(map(_around, argument[1]))
        elif kind is op.SUBPATTERN:
            far += _around(argument[-1])
        elif kind is op.ATOMIC_GROUP:
            far += _around(argument)
        elif kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            far += _around(argument[2])
    return far
