"""The words and character n-grams of a text as 64-bit hashes, alike on every machine."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

N_GRAMS = (2, 3, 4)
"""Two characters are a word in some scripts; four tell most English words apart, yet `refund` stays near `refunded`."""


def hashes(text: str) -> Hashes:
    """One hash for each word and each n-gram, repeated ones too; case and the width of spaces do not matter."""
    words = text.casefold().split()
    if not words:
        return np.zeros(0, dtype=np.uint64)
    whole = np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], dtype=np.uint64)
    codes = np.frombuffer(f" {' '.join(words)} ".encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    return np.concatenate([_mixed(whole), *(_of_length(n, codes) for n in N_GRAMS if n <= len(codes))])


def _of_length(n: int, codes: Hashes) -> Hashes:
    starts = len(codes) - n + 1
    hashed = np.full(starts, n, dtype=np.uint64)
    for offset in range(n):
        hashed = _mixed(hashed + codes[offset : offset + starts])
    return hashed


def _mixed(numbers: Hashes) -> Hashes:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014, §4): each bit of the input moves half of the output."""
    mixed: Hashes = numbers + np.uint64(0x9E37_79B9_7F4A_7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    return mixed ^ mixed >> np.uint64(31)
