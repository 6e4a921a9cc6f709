"""Weighted rendezvous hashing: who gets a unit, the same in every process and after a restart.

P(a) = a's weight / the sum of weights, and a changed weight moves as few units as can be (Schindelhauer & Schomaker 2005,
"Weighted distributed hash tables").
"""

from __future__ import annotations

import hashlib
import math


def score(weight: float, text: str) -> float:
    """The score of one candidate for a unit; the highest wins. `text` names candidate and unit; `weight` is above 0."""
    return -weight / math.log(uniform(text))


def uniform(text: str) -> float:
    """A number in (0, 1), the same everywhere for one text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return ((int.from_bytes(digest[:8], "big") >> 11) + 0.5) / (1 << 53)
