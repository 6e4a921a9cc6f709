"""Tools and requests as vectors: a catalogue is embedded once, a request once a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from attrs import frozen

from victor_dsl.components.tool_selection._lexical import spelled_out
from victor_dsl.language.kinds import Embedder
from victor_dsl.values.tool import Tool

Vectors = npt.NDArray[np.float32]

CATALOGUES_KEPT = 8
LONGEST_TEXT = 2_000


@frozen(eq=False)
class _Catalogue:
    tools: tuple[Tool, ...]
    vectors: Vectors


class Meanings:
    """How near tools are to a request, by an embedder. The latest catalogues are kept, by what is in them.

    A catalogue is embedded in one call, so that an embedder that weighs words by how rare they are weighs them among the
    tools. Of turns that meet a new catalogue at the same time, one embeds it.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._catalogues: list[_Catalogue] = []
        self._embedding = asyncio.Lock()

    async def similarities(self, tools: tuple[Tool, ...], text: str) -> Vectors:
        """The cosine of each tool with the text, 0 for what is farther than that; float32, (tools,)."""
        catalogue = self._known(tools)
        if catalogue is None:
            async with self._embedding:
                catalogue = self._known(tools) or await self._embedded(tools)
        (asked,) = await self._embedder.embed([text[:LONGEST_TEXT]])
        near: Vectors = np.nan_to_num(catalogue.vectors @ asked).clip(min=0)
        return near

    def _known(self, tools: tuple[Tool, ...]) -> _Catalogue | None:
        found = next((catalogue for catalogue in self._catalogues if catalogue.tools == tools), None)
        if found is not None and found is not self._catalogues[0]:
            self._keep(found)
        return found

    async def _embedded(self, tools: tuple[Tool, ...]) -> _Catalogue:
        vectors = await self._embedder.embed([spelled_out(tool)[:LONGEST_TEXT] for tool in tools])
        catalogue = _Catalogue(tools, np.asarray(vectors, dtype=np.float32))
        self._keep(catalogue)
        return catalogue

    def _keep(self, catalogue: _Catalogue) -> None:
        others: Sequence[_Catalogue] = [other for other in self._catalogues if other is not catalogue]
        self._catalogues = [catalogue, *others[: CATALOGUES_KEPT - 1]]
