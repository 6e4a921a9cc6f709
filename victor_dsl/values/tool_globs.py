"""Globs over the names of tools. `a* & *b` matches what both match: so lists of several layers narrow one another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import combinations

BOTH = " & "
WILD = re.compile(r"[*?\[\]]")

MOST_PAIRS = 10_000
"""How many pairs of globs two lists may make."""

TOO_MANY = "(too many globs to combine)"


def matches(name: str, globs: Iterable[str]) -> bool:
    """Whether one of the globs matches the name."""
    return any(all(fnmatchcase(name, part) for part in glob.split(BOTH)) for glob in globs)


def narrowed(lower: Sequence[str], upper: Sequence[str]) -> list[str]:
    """Globs that match what a glob of each list matches; where they would be too many, TOO_MANY alone, which allows nothing."""
    names = [name for name in lower if _is_name(name) and matches(name, upper)]
    names += [name for name in upper if _is_name(name) and matches(name, lower)]
    globs = [[glob for glob in globs if not _is_name(glob)] for globs in (lower, upper)]
    if len(globs[0]) * len(globs[1]) > MOST_PAIRS:
        return [TOO_MANY]
    both = (_both(one, other) for one in globs[0] for other in globs[1])
    return list(dict.fromkeys([*names, *(glob for glob in both if glob is not None)]))


def _is_name(glob: str) -> bool:
    """Whether it matches only itself."""
    return BOTH not in glob and not WILD.search(glob)


def _both(one: str, other: str) -> str | None:
    """A glob of what both match; None where that is nothing. A part that another one implies is left out."""
    parts = dict.fromkeys([*one.split(BOTH), *other.split(BOTH)])
    if any(_exclude(*pair) for pair in combinations(parts, 2)):
        return None
    return BOTH.join(part for part in parts if not any(part != other and _implies(other, part) for other in parts))


def _exclude(one: str, other: str) -> bool:
    """Whether no name matches both, as far as their first and last letters tell."""
    (first, last), (others_first, others_last) = _ends(one), _ends(other)
    starts = first.startswith(others_first) or others_first.startswith(first)
    ends = last.endswith(others_last) or others_last.endswith(last)
    return not (starts and ends)


def _implies(one: str, other: str) -> bool:
    """Whether all that one glob matches begins or ends as the other wants, which is then `letters*` or `*letters`."""
    first, last = _ends(one)
    begins = other.endswith("*") and not WILD.search(other[:-1]) and first.startswith(other[:-1])
    ends = other.startswith("*") and not WILD.search(other[1:]) and last.endswith(other[1:])
    return begins or ends


def _ends(glob: str) -> tuple[str, str]:
    """The letters before the first wildcard and after the last one; the whole twice where there is none."""
    pieces = WILD.split(glob)
    return pieces[0], pieces[-1]
