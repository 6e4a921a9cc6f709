"""Compaction that keeps messages which together cover the history, by the meaning of its messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from threading import Event
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from victor_dsl.components.group_text import group_text
from victor_dsl.components.newest_groups import NEWEST, newest_within, tokens_of
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig, Ref
from victor_dsl.language.kinds import Embedder
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.lazy import Lazy
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int_]
    Mask = npt.NDArray[np.bool_]
else:
    np = Lazy("numpy")

ON_LOOP_GROUPS = 50
"""Up to this many groups, a millisecond of work, the choice is made on the event loop."""
BATCH = 512
"""How many texts are embedded at once where their vectors can be cached."""
MOST_DIMS = 512
"""Longer vectors are folded to this many dimensions, so that the work for a row is bounded."""
ROUNDS = 16
"""How often gains are computed anew; each round spends an equal part of the room."""


class Config(CompactionConfig):
    """Keeps messages that together cover what the history is about, and few that repeat it.

    Messages are compared by their vectors, which are cached by content, so each is embedded once (except by `tfidf`, whose
    vectors depend on the texts beside it). The work grows in proportion to the history and is done off the event loop.
    """

    embedder: Annotated[str, Ref("embedders")] = Field(
        description="The embedder of the messages; a name under `embedders`.", examples=["words"]
    )
    recent: float = Field(
        0.1, ge=0, le=1, description="The share of the room for the newest messages, whatever they are about."
    )
    cache_size: int = Field(
        20_000, ge=0, description="How many vectors are cached in memory. The default takes 80 MB at 1,024 dimensions."
    )


EXAMPLE = "{type: semantic, embedder: words, threshold: 0.8, target_ratio: 0.5}"


def build(config: Config, context: Context) -> Semantic:
    """The strategy; it caches vectors."""
    return Semantic(context.live(config.embedder), recent=config.recent, cache_size=config.cache_size)


class Semantic:
    """Keeps the newest groups, then those that cover the history."""

    def __init__(self, embedder: Embedder, *, recent: float, cache_size: int) -> None:
        self._embedder = embedder
        self._recent = recent
        self._cache_size = 0 if getattr(embedder, "contextual", False) else cache_size
        self._cache: OrderedDict[bytes, Floats] = OrderedDict()
        self._off_loop = OffLoop()

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        room = budget - history.fixed_tokens
        newest = newest_within(history, int(room * self._recent))
        room -= tokens_of(history, newest)
        # What stays anyway counts as covered, but is not chosen.
        free = np.array([not group.fixed and p not in newest for p, group in enumerate(history.groups)], dtype=np.bool_)
        tokens = np.array([group.tokens for group in history.groups])
        if not (free & (tokens <= room)).any():
            return _choice(history, newest, (), turn)
        is_large = len(history.groups) > ON_LOOP_GROUPS
        given_up = Event()
        try:
            texts = await self._off_loop.run_if(is_large, _texts, history)
            rows = await self._rows(texts)
            chosen = await self._off_loop.run_if(is_large, covering, rows, tokens, free, room, given_up)
        finally:
            given_up.set()  # a thread cannot be stopped, but it looks at this between two rounds
        return _choice(history, newest, chosen, turn)

    async def _rows(self, texts: list[tuple[bytes, str]]) -> list[Floats]:
        """One row for each text. Texts that are not cached are embedded, each once.

        They are embedded in batches and each batch is cached: where a deadline ends the work, the next turn continues it.
        """
        rows = {key: row for key, _ in texts if (row := self._cache.get(key)) is not None}
        unknown = {key: text for key, text in texts if key not in rows}
        keys = list(unknown)
        size = BATCH if self._cache_size else max(len(keys), 1)
        for start in range(0, len(keys), size):
            batch = keys[start : start + size]
            made = await self._embed([unknown[key] for key in batch])
            rows.update(zip(batch, map(np.copy, made), strict=True))  # a view would keep the whole batch in memory
            self._store(rows, batch)
        self._store(rows, rows)
        return [rows[key] for key, _ in texts]

    def _store(self, rows: Mapping[bytes, Floats], keys: Iterable[bytes]) -> None:
        """Caches these rows; over the size of the cache the least recently used go."""
        for key in keys if self._cache_size else ():
            self._cache[key] = rows[key]
            self._cache.move_to_end(key)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)

    async def _embed(self, texts: list[str]) -> Floats:
        vectors = np.asarray(await self._embedder.embed(texts), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ComponentError(f"the embedder returned an array of {vectors.shape} for {len(texts)} texts")
        if not np.isfinite(vectors).all():
            raise ComponentError("the embedder returned a vector that is not finite")
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
    """Each group's text with its hash."""
    texts = [group_text(history, group) for group in history.groups]
    return [(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), text) for text in texts]


def covering(vectors: Sequence[Floats], tokens: Ints, free: Mask, room: int, given_up: Event) -> list[int]:
    """Rows among the `free` ones, within the room, in tokens, that cover the directions in which all rows point.

    A set S covers the sum over directions j of sqrt(c_j(S) / c_j(all)), where c_j is how far the rows point that way (Wei,
    Iyer & Bilmes 2014, feature-based functions). So a direction that few rows have counts as much as one that many share,
    and each further row in a direction adds less. Rows that are not free count as covered. Of equal rows only the last is
    chosen, until nothing else fits. Returns early, with the rows chosen so far, once `given_up` is set.
    """
    features = _features(np.stack(vectors))
    total = features.sum(axis=0)
    weights = 1 / np.sqrt(np.maximum(total, 1e-6))
    covered = features[~free].sum(axis=0)
    open_ = free & _last_of_equals(features)
    chosen: list[int] = []
    left = room
    for rounds_left in range(ROUNDS, 0, -1):
        fitting = np.flatnonzero(open_ & (tokens <= left))
        if not len(fitting):  # only then are rows chosen that equal another
            open_ = free.copy()
            open_[chosen] = False
            fitting = np.flatnonzero(open_ & (tokens <= left))
        if not len(fitting) or given_up.is_set():
            break
        # The derivative of the square root; 0.1 keeps that of a direction not covered yet finite.
        gains = features @ (weights / np.sqrt(covered + 0.1))
        best_first = fitting[np.argsort(-gains[fitting], kind="stable")]
        if rounds_left > 1:
            rows = best_first[: _count_for(tokens[best_first], left / rounds_left, left)]
        else:
            rows = best_first[_filling(tokens[best_first], left)]
        chosen += rows.tolist()
        open_[rows] = False
        covered += features[rows].sum(axis=0)
        left -= int(tokens[rows].sum())
    return chosen


def _count_for(tokens: Ints, share: float, left: int) -> int:
    """How many of the first items together reach the share, without exceeding what is left."""
    sums = np.cumsum(tokens)
    return min(int(np.searchsorted(sums, share)) + 1, int(np.searchsorted(sums, left, side="right")))


def _filling(tokens: Ints, left: int) -> list[int]:
    """Each item that still fits, in order."""
    taken = []
    for item, cost in enumerate(tokens.tolist()):
        if cost <= left:
            taken.append(item)
            left -= cost
    return taken


def _features(vectors: Floats) -> Floats:
    """How far each row points along each direction, and against it, as numbers that are not negative."""
    rows, dims = vectors.shape
    if dims > MOST_DIMS:
        padded = np.zeros((rows, -(-dims // MOST_DIMS), MOST_DIMS), dtype=np.float32)
        padded.reshape(rows, -1)[:, :dims] = vectors
        vectors = padded.sum(axis=1)
    return np.concatenate([np.maximum(vectors, 0), np.maximum(-vectors, 0)], axis=1)


def _last_of_equals(features: Floats) -> Mask:
    """Whether no later row equals the row."""
    last: dict[bytes, int] = {row.tobytes(): index for index, row in enumerate(features)}
    is_last = np.zeros(len(features), dtype=np.bool_)
    is_last[list(last.values())] = True
    return is_last
