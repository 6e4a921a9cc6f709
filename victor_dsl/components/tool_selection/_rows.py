"""Scores of many tools at once: one row for the whole request, one for each of its clauses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from victor_dsl.components.tool_selection._index import CLAUSES, WEAK_CLAUSE

Rows = npt.NDArray[np.float32]


def merged_rows(rows: Rows) -> Rows:
    """One score for each tool, as `_index.merged` gives it: (1 + clauses, tools) become (tools,)."""
    whole: Rows = rows[0]
    best = rows.max(axis=1, initial=0)
    telling = best[1:] > 0
    if best[0] <= 0 or not telling.any():
        return whole
    strengths = best[1:][telling]
    weights = (strengths / strengths.max()) ** WEAK_CLAUSE / strengths
    fits = (rows[1:][telling] * weights[:, np.newaxis]).max(axis=0)
    scores: Rows = (1 - CLAUSES) / best[0] * whole + CLAUSES * fits
    return scores
