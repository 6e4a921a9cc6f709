"""Tools and requests as vectors: a catalogue is embedded once, and each text of a request once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from attrs import frozen

from victor_dsl.components.tool_selection._catalogue import LARGE, Latest, Part
from victor_dsl.components.tool_selection._query import Asked
from victor_dsl.components.tool_selection._rows import merged_rows
from victor_dsl.components.tool_selection._texts import spelled_out
from victor_dsl.errors import ComponentError
from victor_dsl.language.kinds import Embedder
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.tool import Tool

Vectors = npt.NDArray[np.float32]

CATALOGUES_KEPT = 8
REQUESTS_KEPT = 256
LONGEST_TEXT = 2_000

BATCH = 64
"""How many tools are embedded at once, each batch kept: what a deadline cuts short goes on where it was in the next turn."""

EVEN = 0.5
"""The nearness of the nearest tool at which `alpha`, where nobody says it, is a half."""


@frozen(eq=False)
class _Catalogue:
    texts: tuple[str, ...]
    vectors: Vectors


@frozen(eq=False)
class Nearness:
    """How near each tool at hand is to a request: float32, (tools,), 0 for what is farther than that.

    `alpha` is the weight that it deserves: the greater, the farther the nearest tool stands out from the catalogue's mean. An
    embedder that knows nothing of a request, or that mostly counts letters, finds no tool near.
    """

    scores: Vectors
    alpha: float

    def rank(self, words: Mapping[int, float], alpha: float) -> list[int]:
        """Positions by `alpha` x nearness + (1 - `alpha`) x words, the best of each counting alike; empty without any."""
        scores = np.zeros(len(self.scores))
        if alpha > 0 and (nearest := float(self.scores.max(initial=0))) > 0:
            scores += alpha / nearest * self.scores
        if alpha < 1 and words:
            positions = np.fromiter(words, np.intp, len(words))
            values = np.fromiter(words.values(), np.float64, len(words))
            scores[positions] += (1 - alpha) / values.max() * values
        ranking: list[int] = np.argsort(-scores, kind="stable").tolist() if scores.any() else []
        return ranking


class Meanings:
    """Compares by an embedder. The latest catalogues are kept, by what is in them, and the latest requests.

    An embedder that weighs words by how rare they are among the texts of one call gets a catalogue in one call, and each
    text of a request in its own. Of turns that meet a new catalogue at the same time, one embeds it.
    """

    def __init__(self, embedder: Embedder, deadline_s: float) -> None:
        self._embedder = embedder
        self._deadline_s = deadline_s
        self._contextual = bool(getattr(embedder, "contextual", False))
        self._catalogues: Latest[_Catalogue] = Latest(CATALOGUES_KEPT)
        self._started: dict[str, Vectors] = {}
        self._requests: OrderedDict[str, Vectors] = OrderedDict()
        self._embedding = asyncio.Lock()
        self._off_loop = OffLoop()

    async def nearness(self, part: Part, request: Asked) -> Nearness:
        """How near the tools at hand are. Raises what the embedder raises, and ComponentError where it is late."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._compared(part, request)
        except TimeoutError as error:
            raise ComponentError(f"the embedder took longer than {self._deadline_s:g} s") from error

    async def _compared(self, part: Part, request: Asked) -> Nearness:
        catalogue = self._catalogues.find(part.catalogue)
        if catalogue is None:
            async with self._embedding:
                catalogue = self._catalogues.find(part.catalogue) or await self._embedded(part.catalogue)
        rows = await self._rows_of([_both_ends(asking.text) for asking in (request.whole, *request.clauses)])
        vectors = catalogue.vectors
        if part.places is not None:
            vectors = vectors[np.fromiter(part.places, np.intp, len(part.places))]
        near = np.nan_to_num(rows @ vectors.T).clip(min=0, max=1)
        return Nearness(merged_rows(near), _deserved_alpha(near[0]))

    async def _rows_of(self, texts: Sequence[str]) -> Vectors:
        """The vectors of a request's texts."""
        rows = {text: row for text in texts if (row := self._requests.get(text)) is not None}
        unknown = [text for text in dict.fromkeys(texts) if text not in rows]
        for batch in [[text] for text in unknown] if self._contextual else [unknown] if unknown else []:
            rows.update(zip(batch, map(np.copy, await self._embed(batch)), strict=True))
        for text, row in rows.items():
            self._requests[text] = row
            self._requests.move_to_end(text)
        while len(self._requests) > REQUESTS_KEPT:
            self._requests.popitem(last=False)
        return np.stack([rows[text] for text in texts])

    async def _embedded(self, tools: tuple[Tool, ...]) -> _Catalogue:
        texts = await self._off_loop.run_if(len(tools) >= LARGE, _texts, tools)
        if self._contextual:
            vectors = await self._embed(texts)
        else:
            known = self._known_rows()
            self._started = {text: known[text] for text in texts if text in known}
            unknown = [text for text in dict.fromkeys(texts) if text not in self._started]
            for start in range(0, len(unknown), BATCH):
                batch = unknown[start : start + BATCH]
                self._started.update(zip(batch, await self._embed(batch), strict=True))
            vectors = np.stack([self._started[text] for text in texts])
        self._started = {}
        return self._catalogues.keep(tools, _Catalogue(texts, vectors))

    def _known_rows(self) -> dict[str, Vectors]:
        """The vectors of all tools that were embedded before, also of a catalogue that was not finished."""
        known = dict(self._started)
        for catalogue in self._catalogues.values():
            known.update(zip(catalogue.texts, catalogue.vectors, strict=True))
        return known

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.asarray(await self._embedder.embed(texts), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ComponentError(f"the embedder gave an array of {vectors.shape} for {len(texts)} texts")
        return vectors


def _deserved_alpha(near: Vectors) -> float:
    """The nearness of the nearest tool on the way from the mean to sameness, against itself and `EVEN`."""
    mean = float(near.mean())
    nearest = (float(near.max()) - mean) / (1 - mean) if mean < 1 else 0.0
    return nearest / (nearest + EVEN)


def _both_ends(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT // 2]} {text[-LONGEST_TEXT // 2 :]}"


def _texts(tools: Sequence[Tool]) -> tuple[str, ...]:
    return tuple(spelled_out(tool)[:LONGEST_TEXT] for tool in tools)
