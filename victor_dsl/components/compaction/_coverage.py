"""Chooses rows that cover all rows: a submodular function of features, maximised in a few passes."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import numpy as np
import numpy.typing as npt

MOST_DIMS = 512
"""Longer vectors are folded to this many, so that the work for a row is bounded."""
ROUNDS = 16
"""How often gains are computed anew; each round spends an equal part of the room."""


def covering(
    vectors: Sequence[npt.NDArray[np.float32]],
    tokens: npt.NDArray[np.int_],
    free: npt.NDArray[np.bool_],
    room: int,
    given_up: Event,
) -> list[int]:
    """Rows among the `free` ones within the room, in tokens, that cover the directions in which all rows point.

    What a set S covers is the sum over directions j of sqrt(c_j(S) / c_j(all)), c_j being how far the rows point that
    way (Wei, Iyer & Bilmes 2014, feature-based functions): a direction that few rows have counts as much as one
    that many share, and each further row that way adds less. The rows that are not free count as covered. Of rows that are the
    same the last stands for all. Returns early, with what it has, once `given_up`.
    """
    features = _features(np.stack(vectors))
    total = features.sum(axis=0)
    weights = 1 / np.sqrt(np.maximum(total, 1e-6))
    covered = features[~free].sum(axis=0)
    open_ = free & _last_of_the_same(features)
    chosen: list[int] = []
    left = room
    for rounds_left in range(ROUNDS, 0, -1):
        fitting = np.flatnonzero(open_ & (tokens <= left))
        if not len(fitting):  # only then are rows chosen that repeat another
            open_ = free.copy()
            open_[chosen] = False
            fitting = np.flatnonzero(open_ & (tokens <= left))
        if not len(fitting) or given_up.is_set():
            break
        gains = features @ (weights / np.sqrt(covered + 0.1))
        best_first = fitting[np.argsort(-gains[fitting], kind="stable")]
        if rounds_left > 1:
            rows = best_first[: _completing(tokens[best_first], left / rounds_left, left)]
        else:
            rows = best_first[_filling(tokens[best_first], left)]
        chosen += rows.tolist()
        open_[rows] = False
        covered += features[rows].sum(axis=0)
        left -= int(tokens[rows].sum())
    return chosen


def _completing(tokens: npt.NDArray[np.int_], share: float, left: int) -> int:
    """How many items it takes to complete the share, within what is left."""
    sums = np.cumsum(tokens)
    return min(int(np.searchsorted(sums, share)) + 1, int(np.searchsorted(sums, left, side="right")))


def _filling(tokens: npt.NDArray[np.int_], left: int) -> list[int]:
    """Each item that still fits, in order."""
    taken = []
    for item, cost in enumerate(tokens.tolist()):
        if cost <= left:
            taken.append(item)
            left -= cost
    return taken


def _features(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How far each row points along each direction and against it: none is negative."""
    rows, dims = vectors.shape
    if dims > MOST_DIMS:
        padded = np.zeros((rows, -(-dims // MOST_DIMS), MOST_DIMS), dtype=np.float32)
        padded.reshape(rows, -1)[:, :dims] = vectors
        vectors = padded.sum(axis=1)
    return np.concatenate([np.maximum(vectors, 0), np.maximum(-vectors, 0)], axis=1)


def _last_of_the_same(features: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    last: dict[bytes, int] = {row.tobytes(): index for index, row in enumerate(features)}
    marked = np.zeros(len(features), dtype=np.bool_)
    marked[list(last.values())] = True
    return marked
