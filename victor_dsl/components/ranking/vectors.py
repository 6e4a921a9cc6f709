"""Tools and queries as vectors: a catalogue is embedded once, and each text of a query once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from attrs import frozen

from victor_dsl.components.ranking.catalogue import LARGE, Latest, Part
from victor_dsl.components.ranking.query import Query, both_ends, clause_factors
from victor_dsl.components.ranking.tool_texts import prose
from victor_dsl.errors import ComponentError
from victor_dsl.language.kinds import Embedder
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.tool import Tool

T = TypeVar("T")
Vectors = npt.NDArray[np.float32]

REMEMBERED_CATALOGUES = 8
REMEMBERED_TEXTS = 256
LONGEST_TEXT = 2_000

BATCH = 64
"""How many tools are embedded at once. Each batch is stored, so that a turn goes on where a deadline stopped the one before."""

EVEN = 0.5
"""The nearness of the nearest tool at which `alpha` is a half, where the spec does not set it."""


@frozen(eq=False)
class _Embedded:
    """A catalogue's texts and their vectors: float32, (tools, dims)."""

    texts: tuple[str, ...]
    vectors: Vectors


@frozen(eq=False)
class Nearness:
    """How near each tool at hand is to a query: float32, (tools,), from 0 to 1.

    `alpha` is the weight that it deserves: the farther the nearest tool stands out from the catalogue's mean, the greater. An
    embedder that knows nothing of the query's subject, or that mostly counts letters, finds no tool near.
    """

    scores: Vectors
    alpha: float

    def rank(self, words: Mapping[int, float], alpha: float) -> list[int]:
        """Positions by `alpha` x nearness + (1 - `alpha`) x words, each divided by its best; empty where all are 0."""
        scores = np.zeros(len(self.scores))
        if alpha > 0 and (nearest := float(self.scores.max(initial=0))) > 0:
            scores += alpha / nearest * self.scores
        if alpha < 1 and words:
            positions = np.fromiter(words, np.intp, len(words))
            values = np.fromiter(words.values(), np.float64, len(words))
            scores[positions] += (1 - alpha) / values.max() * values
        ranking: list[int] = np.argsort(-scores, kind="stable").tolist() if scores.any() else []
        return ranking


class VectorRanking:
    """Compares tools and queries by an embedder. The latest catalogues and texts of queries are cached.

    A `contextual` embedder weighs words by how rare they are among the texts of one call: it is called with a whole
    catalogue, and with each text of a query by itself. Of turns that meet a new catalogue at the same time, one embeds it.
    """

    def __init__(self, embedder: Embedder, deadline_s: float) -> None:
        self._embedder = embedder
        self._deadline_s = deadline_s
        self._contextual = bool(getattr(embedder, "contextual", False))
        self._catalogues: Latest[_Embedded] = Latest(REMEMBERED_CATALOGUES)
        self._unfinished: dict[str, Vectors] = {}
        self._texts: OrderedDict[str, Vectors] = OrderedDict()
        self._embedding = asyncio.Lock()
        self._off_loop = OffLoop()

    async def nearness(self, part: Part, query: Query) -> Nearness:
        """How near the tools at hand are. Raises what the embedder raises, and ComponentError where it is late."""
        return await self._in_time(self._compared(part, query))

    async def prepare(self, queries: Sequence[Query]) -> None:
        """Embeds the texts of several queries at once, for `nearness`. Raises as it does."""
        texts = [text for query in queries if query.text for text in _query_texts(query)]
        if texts and not self._contextual:
            await self._in_time(self._rows_of_query(texts))

    async def _in_time(self, work: Awaitable[T]) -> T:
        deadline = asyncio.timeout(self._deadline_s)
        try:
            async with deadline:
                return await work
        except TimeoutError as error:
            if not deadline.expired():
                raise  # the embedder's own
            raise ComponentError(f"the embedder took longer than {self._deadline_s:g} s") from error

    async def _compared(self, part: Part, query: Query) -> Nearness:
        catalogue = self._catalogues.get(part.catalogue)
        if catalogue is None:
            async with self._embedding:
                catalogue = self._catalogues.get(part.catalogue) or await self._embedded(part.catalogue)
        rows = await self._rows_of_query(_query_texts(query))
        vectors = catalogue.vectors
        if part.places is not None:
            vectors = vectors[np.fromiter(part.places, np.intp, len(part.places))]
        near = np.nan_to_num(rows @ vectors.T).clip(min=0, max=1)
        return Nearness(_merged(near), _deserved_alpha(near[0]))

    async def _rows_of_query(self, texts: Sequence[str]) -> Vectors:
        """The vectors of a query's texts."""
        rows = {text: row for text in texts if (row := self._texts.get(text)) is not None}
        unknown = [text for text in dict.fromkeys(texts) if text not in rows]
        for batch in [[text] for text in unknown] if self._contextual else [unknown] if unknown else []:
            rows.update(zip(batch, map(np.copy, await self._embed(batch)), strict=True))
        for text, row in rows.items():
            self._texts[text] = row
            self._texts.move_to_end(text)
        while len(self._texts) > REMEMBERED_TEXTS:
            self._texts.popitem(last=False)
        return np.stack([rows[text] for text in texts])

    async def _embedded(self, tools: tuple[Tool, ...]) -> _Embedded:
        texts = await self._off_loop.run_if(len(tools) >= LARGE, _texts, tools)
        if self._contextual:
            vectors = await self._embed(texts)
        else:
            rows = self._rows_of_tools()
            self._unfinished = {text: rows[text] for text in texts if text in rows}
            unknown = [text for text in dict.fromkeys(texts) if text not in self._unfinished]
            for start in range(0, len(unknown), BATCH):
                batch = unknown[start : start + BATCH]
                self._unfinished.update(zip(batch, await self._embed(batch), strict=True))
            vectors = np.stack([self._unfinished[text] for text in texts])
        self._unfinished = {}
        return self._catalogues.put(tools, _Embedded(texts, vectors))

    def _rows_of_tools(self) -> dict[str, Vectors]:
        """The vectors of all tools that were embedded before, also of a catalogue that was not finished."""
        rows = dict(self._unfinished)
        for catalogue in self._catalogues.values():
            rows.update(zip(catalogue.texts, catalogue.vectors, strict=True))
        return rows

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.asarray(await self._embedder.embed(texts), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ComponentError(f"the embedder returned an array of {vectors.shape} for {len(texts)} texts")
        return vectors


def _merged(near: Vectors) -> Vectors:
    """One score for each tool: (1 + clauses, tools) become (tools,)."""
    whole, *strengths = near.max(axis=1, initial=0).tolist()
    factor, factors = clause_factors(whole, strengths)
    scores: Vectors = factor * near[0]
    if factors:
        scores += (near[1:] * np.array(factors, np.float32)[:, np.newaxis]).max(axis=0)
    return scores


def _deserved_alpha(near: Vectors) -> float:
    """How much of the way from the mean to 1 the nearest tool is, against itself and `EVEN`."""
    mean = float(near.mean())
    nearest = (float(near.max()) - mean) / (1 - mean) if mean < 1 else 0.0
    return nearest / (nearest + EVEN)


def _query_texts(query: Query) -> list[str]:
    return [both_ends(each.text, LONGEST_TEXT) for each in (query, *query.clauses)]


def _texts(tools: Sequence[Tool]) -> tuple[str, ...]:
    return tuple(prose(tool)[:LONGEST_TEXT] for tool in tools)
