"""Which regular expressions of other people may look at texts of strangers: those of bounded length and bounded work."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as op  # type: ignore[attr-defined]  # the parser that `re` itself uses; there is no public one
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 256
"""The longest text that a pattern may match, what it looks at around it included."""
MOST_WAYS = 1_000
"""In how many ways, at most, a pattern may try to match from one place: what backtracking can cost."""

_ONE = frozenset({op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN})
_WORDS = frozenset({op.AT_BOUNDARY, op.AT_NON_BOUNDARY})


def check_pattern(pattern: str) -> int:
    """How many characters around the beginning of a match the pattern may look at. Raises ValueError that says why not."""
    try:
        parsed = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"this is not a regular expression: {error}") from error
    least, longest = parsed.getwidth()
    if not least:
        raise ValueError("it matches the empty text")
    if longest > LONGEST:
        raise ValueError(f"it may match more than {LONGEST} characters; write bounds, such as `{{1,20}}` for `+`")
    if _ways(parsed) > MOST_WAYS:
        raise ValueError(
            "a text could make it slow: it has too many ways to match; make repetitions narrower, or do not nest them"
        )
    reach = int(longest) + _around(parsed) + 1
    if reach > 2 * LONGEST:
        raise ValueError(f"it looks at more than {LONGEST} characters around a match")
    return reach


def _ways(items: Iterable[Any]) -> float:
    """In how many ways a sequence can be tried: what follows it may be tried again after each."""
    ways = 1.0
    for kind, argument in items:
        ways *= _ways_of(kind, argument)
    return ways


def _ways_of(kind: Any, argument: Any) -> float:
    if kind in _ONE:
        return 1.0
    if kind is op.AT:
        if argument not in _WORDS:
            raise ValueError("`^`, `$`, `\\A` and `\\Z` have no meaning inside of a stream; use `\\b`")
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
    raise ValueError("it refers back to a group; write what is meant instead")


def _around(items: Iterable[Any]) -> int:
    """How far the assertions of a pattern look beyond what it matches, at most."""
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
