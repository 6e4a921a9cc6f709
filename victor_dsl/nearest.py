"""Suggestions after an unknown name: the nearest valid one. One wording for specs, requests and commands.

The work for one word is bounded, however many names there are, and however long they are.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

from attrs import frozen

MANY = 64
"""Names that a word is compared with. Of more, those beside it in the alphabet are, read forwards and backwards."""

LONGEST = 64
"""Characters of a name that is compared or listed whole."""


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid name that a misspelt word most likely means, or None; case, `-` and `_` make no difference.

    >>> nearest("Rate-Limt", ["auth", "rate_limit"])
    'rate_limit'
    """
    return _names(tuple(valid)).nearest(word)


def suggest(word: str, valid: Iterable[str], *, what: str | None = None, most: int = 12) -> str:
    """The nearest name, then the valid ones, at most `most` of them; `what` says what these are.

    >>> suggest("mian", ["main", "spare"], what="models")
    "did you mean 'main'? models: main, spare"
    >>> suggest("x", ["main", "spare"])
    'there are: main, spare'
    >>> suggest("main", [])
    'there are none'
    """
    known = _names(tuple(valid))
    names = known.listed
    close = known.nearest(word)
    shown = ", ".join(map(shortened, names[:most])) + (f", … ({len(names)} in all)" if len(names) > most else "")
    listing = f"{what or 'there are'}: {shown}" if names else f"there are {f'no {what}' if what else 'none'}"
    return f"did you mean '{close}'? {listing}" if close else listing


def shortened(name: str) -> str:
    """A name as messages list it."""
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}…"


@frozen
class _Names:
    """Names to choose from: as they are listed, and folded by case and marks, sorted from either end."""

    listed: tuple[str, ...]
    folded: dict[str, str]
    forwards: tuple[str, ...]
    backwards: tuple[str, ...]

    def nearest(self, word: str) -> str | None:
        if len(word) > LONGEST:
            return None
        folded = _fold(word)
        found = difflib.get_close_matches(folded, self._beside(folded), n=1, cutoff=0.6)
        return self.folded[found[0]] if found else None

    def _beside(self, word: str) -> Iterable[str]:
        if len(self.forwards) <= MANY:
            return self.folded
        step = MANY // 4
        at, end = bisect_left(self.forwards, word), bisect_left(self.backwards, word[::-1])
        mirrored = self.backwards[max(0, end - step) : end + step]
        beside = (*self.forwards[max(0, at - step) : at + step], *(name[::-1] for name in mirrored))
        return dict.fromkeys(beside)


@lru_cache(maxsize=32)
def _names(valid: tuple[str, ...]) -> _Names:
    names = [name for name in valid if isinstance(name, str)]
    folded = {_fold(name): name for name in reversed(names) if len(name) <= LONGEST}
    mirrored = sorted(name[::-1] for name in folded)
    return _Names(tuple(sorted(set(names))), folded, tuple(sorted(folded)), tuple(mirrored))


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")
