"""Embeds by hashing words and character n-grams: no training, no model, the same in every process."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import EmbedderConfig
from victor_dsl.language.kinds import Embedder
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from victor_dsl.components.embedding.vectors import Matrix

    Hashes = npt.NDArray[np.uint64]
else:
    np = Lazy("numpy")

N_GRAMS = (2, 3, 4)
"""Two characters are a word in some scripts. Four distinguish most English words, yet `refund` is near `refunded`."""


class Config(EmbedderConfig):
    """Hashes words and character n-grams (2 to 4) into a vector: fast, for any language, but blind to meaning.

    A text has the same vector in every call and every process.
    """

    dims: int = Field(
        1024, ge=16, le=65_536, description="The length of a vector. A shorter one costs less and confuses more words."
    )


EXAMPLE = "{type: hashing, dims: 512}"


def build(config: Config, context: Context) -> Embedder:
    """The embedder; it has no state."""
    from victor_dsl.components.embedding.vectors import ComputedEmbedder, unit_rows

    def compute(texts: Sequence[str]) -> Matrix:
        matrix = np.zeros((len(texts), config.dims), dtype=np.float32)
        for row, text in enumerate(texts):
            features, counts = np.unique(hash_features(text), return_counts=True)
            # A random sign for each feature makes collisions cancel out (Weinberger et al. 2009).
            values = (1 + np.log(counts)) * np.where(features >> np.uint64(63), -1.0, 1.0)
            columns = ((features & np.uint64(0xFFFF_FFFF)) % np.uint64(config.dims)).astype(np.intp)
            matrix[row] = np.bincount(columns, weights=values, minlength=config.dims)
        return unit_rows(matrix)

    return ComputedEmbedder(compute)


def hash_features(text: str) -> Hashes:
    """One hash for each word and each n-gram, with repetitions. Case and the width of white space do not matter."""
    words = text.casefold().split()
    if not words:
        return np.zeros(0, dtype=np.uint64)
    whole = np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], dtype=np.uint64)
    codes = np.frombuffer(f" {' '.join(words)} ".encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    return np.concatenate([_mix(whole), *(_hash_n_grams(n, codes) for n in N_GRAMS if n <= len(codes))])


def _hash_n_grams(n: int, codes: Hashes) -> Hashes:
    count = len(codes) - n + 1
    hashed = np.full(count, n, dtype=np.uint64)
    for offset in range(n):
        hashed = _mix(hashed + codes[offset : offset + count])
    return hashed


def _mix(numbers: Hashes) -> Hashes:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014, §4): each bit of the input changes half of the output."""
    mixed: Hashes = numbers + np.uint64(0x9E37_79B9_7F4A_7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    return mixed ^ mixed >> np.uint64(31)
