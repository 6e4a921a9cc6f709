"""Vectors of words weighted by how rare they are among the texts embedded together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import EmbedderConfig
from victor_dsl.language.kinds import Embedder

if TYPE_CHECKING:
    from victor_dsl.components.embedders._vectors import Matrix

FEATURES = 2**20
"""So many words are told apart when they are weighted; only then are they folded to `dims`."""


class Config(EmbedderConfig):
    """Weights words and pairs of words by how rare they are (TF-IDF, from scikit-learn), without a stored vocabulary.

    How rare a word is, is learnt from the texts of one call and forgotten with it. All calls and processes share one
    space, so that a vector of one call can be compared with those of another; a text alone has plain word counts.
    """

    dims: int = Field(
        1024,
        ge=16,
        le=65_536,
        description="The length of a vector. Fewer cost less and mix up more words; for thousands of tools 4096 finds more.",
    )


EXAMPLE = "{type: tfidf}"


def build(config: Config, context: Context) -> Embedder:
    """The embedder; it has no state."""
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    from victor_dsl.components.embedders._vectors import Computed, unit_rows

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
        # A fair sign for each word lets collisions cancel out (Weinberger et al. 2009).
        signs = np.where(weighted.col // config.dims % 2, -1.0, 1.0)
        np.add.at(matrix, (weighted.row, weighted.col % config.dims), (weighted.data * signs).astype(np.float32))
        return unit_rows(matrix)

    return Computed(compute, contextual=True)
