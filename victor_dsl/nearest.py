"""Suggestions after an unknown name: the nearest valid one. One wording for specs, requests and commands.

The work for one word is bounded, however many names there are, and however long they are.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Collection, Iterable
from functools import lru_cache

from attrs import define, field, frozen

MANY = 64
"""Names that a word is compared with. Of more, those beside it in the alphabet are, read forwards and backwards."""

LONGEST = 64
"""Characters of a name that is compared or listed whole."""


def nearest(word: str, valid: Iterable[str] | Names) -> str | None:
    """The valid name that a misspelt word most likely means, or None; case, `-` and `_` make no difference.

    >>> nearest("Rate-Limt", ["auth", "rate_limit"])
    'rate_limit'
    """
    return _names_of(valid).nearest(word)


def suggest(word: str, valid: Iterable[str] | Names, *, what: str | None = None, most: int = 12) -> str:
    """The nearest name, then the valid ones, at most `most` of them; `what` says what these are.

    >>> suggest("mian", ["main", "spare"], what="models")
    "did you mean 'main'? models: main, spare"
    >>> suggest("x", ["main", "spare"])
    'there are: main, spare'
    >>> suggest("main", [])
    'there are none'
    """
    known = _names_of(valid)
    names = known.listed
    close = known.nearest(word)
    shown = ", ".join(map(shortened, names[:most])) + (f", … ({len(names)} in all)" if len(names) > most else "")
    listing = f"{what or 'there are'}: {shown}" if names else f"there are {f'no {what}' if what else 'none'}"
    return f"did you mean '{close}'? {listing}" if close else listing


def shortened(name: str) -> str:
    """A name as messages list it."""
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}…"


@frozen
class Names:
    """Names to choose from: as they are listed, and folded by case and marks, sorted from either end."""

    listed: tuple[str, ...]
    folded: dict[str, str]
    forwards: tuple[str, ...]
    backwards: tuple[str, ...]

    def nearest(self, word: str) -> str | None:
        """The name that the word most likely means."""
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


@define
class Choices:
    """The names in large collections, each read once. The collections must stay as they are."""

    _names: dict[int, tuple[Collection[str], Names]] = field(factory=dict)

    def of(self, valid: Collection[str]) -> Names:
        """The names of a collection."""
        if id(valid) not in self._names:
            self._names[id(valid)] = (valid, names_of(valid))
        return self._names[id(valid)][1]


def _names_of(valid: Iterable[str] | Names) -> Names:
    return valid if isinstance(valid, Names) else _cached(tuple(valid))


@lru_cache(maxsize=32)
def _cached(valid: tuple[str, ...]) -> Names:
    return names_of(valid)


def names_of(valid: Iterable[str]) -> Names:
    """Names to choose from."""
    names = [name for name in valid if isinstance(name, str)]
    folded = {_fold(name): name for name in reversed(names) if len(name) <= LONGEST}
    mirrored = sorted(name[::-1] for name in folded)
    return Names(tuple(sorted(set(names))), folded, tuple(sorted(folded)), tuple(mirrored))


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")
