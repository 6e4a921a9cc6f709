"""A history's groups as vectors, and the choice of those that cover it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from victor_dsl.components.compaction._coverage import covering
from victor_dsl.components.compaction._newest import NEWEST, cost, newest_within
from victor_dsl.components.compaction._text import group_text
from victor_dsl.errors import ComponentError
from victor_dsl.language.kinds import Embedder
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn

Row = npt.NDArray[np.float32]

ON_LOOP_GROUPS = 50
"""Up to this many groups choosing takes a millisecond, less than a thread may have to wait."""

BATCH = 512
"""How many texts are embedded at once where their vectors can be kept."""


class Semantic:
    """Keeps the newest groups, then those that cover the history; vectors are kept by the hash of their text."""

    def __init__(self, embedder: Embedder, *, recent: float, cache_size: int) -> None:
        self._embedder = embedder
        self._recent = recent
        self._cache_size = 0 if getattr(embedder, "contextual", False) else cache_size
        self._kept: OrderedDict[bytes, Row] = OrderedDict()
        self._off_loop = OffLoop()

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        room = budget - history.fixed_tokens
        newest = newest_within(history, int(room * self._recent))
        room -= cost(history, newest)
        # What stays anyway counts as covered, but is not chosen.
        free = np.array([not group.fixed and p not in newest for p, group in enumerate(history.groups)], dtype=np.bool_)
        tokens = np.array([group.tokens for group in history.groups])
        if not (free & (tokens <= room)).any():
            return _choice(history, newest, (), turn)
        is_large = len(history.groups) > ON_LOOP_GROUPS
        given_up = threading.Event()
        try:
            texts = await self._off_loop.run_if(is_large, _texts, history)
            rows = await self._rows_of(texts)
            chosen = await self._off_loop.run_if(is_large, covering, rows, tokens, free, room, given_up)
        finally:
            given_up.set()  # a thread cannot be cancelled, but it can be told
        return _choice(history, newest, chosen, turn)

    async def _rows_of(self, texts: list[tuple[bytes, str]]) -> list[Row]:
        """One row for each text; only texts that are not known are embedded, each once.

        They go in batches, each of which is kept: what a deadline cuts short goes on where it was in the next turn.
        """
        rows = {key: row for key, _ in texts if (row := self._kept.get(key)) is not None}
        unknown = {key: text for key, text in texts if key not in rows}
        keys = list(unknown)
        size = BATCH if self._cache_size else max(len(keys), 1)
        for start in range(0, len(keys), size):
            batch = keys[start : start + size]
            made = await self._embed([unknown[key] for key in batch])
            rows.update(zip(batch, map(np.copy, made), strict=True))  # a view would keep the whole batch
            self._keep(rows, batch)
        self._keep(rows, rows)
        return [rows[key] for key, _ in texts]

    def _keep(self, rows: Mapping[bytes, Row], keys: Iterable[bytes]) -> None:
        """Keeps these rows; of all that are kept the ones used longest ago go."""
        for key in keys if self._cache_size else ():
            self._kept[key] = rows[key]
            self._kept.move_to_end(key)
        while len(self._kept) > self._cache_size:
            self._kept.popitem(last=False)

    async def _embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = np.asarray(await self._embedder.embed(texts), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ComponentError(f"the embedder gave an array of {vectors.shape} for {len(texts)} texts")
        if not np.isfinite(vectors).all():
            raise ComponentError("the embedder gave a vector that is not finite")
        return vectors


def _choice(history: History, newest: set[int], chosen: Collection[int], turn: Turn) -> Choice:
    kept = newest.union(chosen)
    if not turn.rendering:
        return Choice(frozenset(kept))
    reasons = {
        position: NEWEST if position in newest else "adds to what the others say" if position in kept else "adds little"
        for position, group in enumerate(history.groups)
        if not group.fixed
    }
    return Choice(frozenset(kept), reasons=reasons)


def _texts(history: History) -> list[tuple[bytes, str]]:
    """Each group's text, under the hash that tells it from others."""
    texts = [group_text(history, group) for group in history.groups]
    return [(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), text) for text in texts]
