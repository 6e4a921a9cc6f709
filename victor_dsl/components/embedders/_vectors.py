"""What embedders that compute their vectors here share: unit rows, and leaving the event loop for large batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from victor_dsl.language.off_loop import OffLoop

Matrix = npt.NDArray[np.float32]

ON_LOOP_CHARACTERS = 20_000
"""Up to this much text, a few milliseconds of work, a batch is embedded on the event loop."""


class Computed:
    """An embedder made of a plain function, which must be safe to run in several threads.

    `contextual` says that a text's vector depends on the texts beside it, so that keeping it for a later call changes
    what that call gives.
    """

    def __init__(self, compute: Callable[[Sequence[str]], Matrix], *, contextual: bool = False) -> None:
        self._compute = compute
        self._off_loop = OffLoop()
        self.contextual = contextual

    async def embed(self, texts: Sequence[str]) -> Matrix:
        is_large = sum(map(len, texts)) > ON_LOOP_CHARACTERS
        return await self._off_loop.run_if(is_large, self._compute, texts)


def unit_rows(matrix: Matrix) -> Matrix:
    """The rows, each divided by its length; a row of zeros stays one."""
    lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)  # squares of float32 may overflow
    lengths[lengths == 0] = 1
    rows: Matrix = (matrix / lengths).astype(np.float32)
    return rows
