"""Suggestions after an unknown name: the nearest valid one. One wording for specs, requests and commands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid name that a misspelt word most likely means, or None; case, `-` and `_` make no difference.

    >>> nearest("Rate-Limt", ["auth", "rate_limit"])
    'rate_limit'
    """
    names = [name for name in valid if isinstance(name, str)]
    folded = {name.lower().replace("-", "_"): name for name in reversed(names)}
    found = difflib.get_close_matches(word.lower().replace("-", "_"), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def suggest(word: str, valid: Iterable[str], *, what: str | None = None, most: int = 12) -> str:
    """The nearest name, then the valid ones, at most `most` of them; `what` says what these are.

    >>> suggest("mian", ["main", "spare"], what="models")
    "did you mean 'main'? models: main, spare"
    >>> suggest("x", ["main", "spare"])
    'there are: main, spare'
    >>> suggest("main", [])
    'there are none'
    """
    names = sorted(set(valid))
    close = nearest(word, names)
    shown = ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
    listing = f"{what or 'there are'}: {shown}" if names else f"there are {f'no {what}' if what else 'none'}"
    return f"did you mean '{close}'? {listing}" if close else listing
