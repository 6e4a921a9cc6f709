"""Vectors of hashed words and character n-grams: no training, no model, alike in every process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import EmbedderConfig
from victor_dsl.language.kinds import Embedder

if TYPE_CHECKING:
    from victor_dsl.components.embedders._vectors import Matrix


class Config(EmbedderConfig):
    """Hashes words and character n-grams (2 to 4) into a vector: quick, for any language, and blind to meaning.

    A text has the same vector in every call and every process.
    """

    dims: int = Field(
        1024, ge=16, le=65_536, description="The length of a vector. Fewer cost less and mix up more words."
    )


EXAMPLE = "{type: hashing, dims: 512}"


def build(config: Config, context: Context) -> Embedder:
    """The embedder; it has no state."""
    import numpy as np

    from victor_dsl.components.embedders._ngrams import hashes
    from victor_dsl.components.embedders._vectors import Computed, unit_rows

    def compute(texts: Sequence[str]) -> Matrix:
        matrix = np.zeros((len(texts), config.dims), dtype=np.float32)
        for row, text in enumerate(texts):
            features, counts = np.unique(hashes(text), return_counts=True)
            # A fair sign for each feature lets collisions cancel out (Weinberger et al. 2009).
            values = (1 + np.log(counts)) * np.where(features >> np.uint64(63), -1.0, 1.0)
            places = ((features & np.uint64(0xFFFF_FFFF)) % np.uint64(config.dims)).astype(np.intp)
            matrix[row] = np.bincount(places, weights=values, minlength=config.dims)
        return unit_rows(matrix)

    return Computed(compute)
