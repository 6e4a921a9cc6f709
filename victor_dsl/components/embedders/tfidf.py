"""Embeds words weighted by how rare they are among the texts of one call (TF-IDF)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import EmbedderConfig
from victor_dsl.language.kinds import Embedder

if TYPE_CHECKING:
    from victor_dsl.components.embedding.vectors import Matrix

FEATURES = 2**20
"""How many words are distinguished while they are weighted. Afterwards they are folded to `dims`."""


class Config(EmbedderConfig):
    """Weights words and pairs of words by how rare they are (TF-IDF, from scikit-learn), without a stored vocabulary.

    Rarity is computed from the texts of one call and then forgotten. All calls and processes share one space, so
    vectors of different calls can be compared. A text alone in its call has plain word counts.
    """

    dims: int = Field(
        1024,
        ge=16,
        le=65_536,
        description="The length of a vector. A shorter one costs less and confuses more words; use 4096 for thousands of tools.",
    )


EXAMPLE = "{type: tfidf}"


def build(config: Config, context: Context) -> Embedder:
    """The embedder; it has no state."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    from victor_dsl.components.embedding.vectors import ComputedEmbedder, unit_rows

    vectorizer = HashingVectorizer(
        n_features=FEATURES,
        ngram_range=(1, 2),
        token_pattern=r"(?u)\b\w+\b",  # noqa: S106 -- a pattern, not a password
        alternate_sign=False,
        norm=None,
    )

    def compute(texts: Sequence[str]) -> Matrix:
        matrix = np.zeros((len(texts), config.dims), dtype=np.float32)
        if not texts:
            return matrix
        counts = vectorizer.transform([text.encode("utf-8", "replace").decode() for text in texts])
        weighted = TfidfTransformer(sublinear_tf=True).fit_transform(counts).tocoo()
        # A random sign for each word makes collisions cancel out (Weinberger et al. 2009).
        signs = np.where(weighted.col // config.dims % 2, -1.0, 1.0)
        np.add.at(matrix, (weighted.row, weighted.col % config.dims), (weighted.data * signs).astype(np.float32))
        return unit_rows(matrix)

    return ComputedEmbedder(compute, contextual=True)
