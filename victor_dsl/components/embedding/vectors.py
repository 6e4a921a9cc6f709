"""Unit vectors, and embedders that compute them in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from victor_dsl.language.off_loop import OffLoop

Matrix = npt.NDArray[np.float32]

ON_LOOP_CHARACTERS = 20_000
"""Up to this much text, a few milliseconds of work, a batch is embedded on the event loop."""


class ComputedEmbedder:
    """An embedder made of a function, which must be safe to run in several threads.

    `contextual` says that a text's vector depends on the other texts of the call, so that it must not be cached.
    """

    def __init__(self, compute: Callable[[Sequence[str]], Matrix], *, contextual: bool = False) -> None:
        self._compute = compute
        self._off_loop = OffLoop()
        self.contextual = contextual

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """float32, (texts, dims), unit rows."""
        is_large = sum(map(len, texts)) > ON_LOOP_CHARACTERS
        return await self._off_loop.run_if(is_large, self._compute, texts)


def unit_rows(matrix: Matrix) -> Matrix:
    """The rows, each divided by its length. A row of zeros remains zero."""
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)  # squares of float32 may overflow
    lengths[lengths == 0] = 1
    rows: Matrix = (matrix / lengths).astype(np.float32)
    return rows
