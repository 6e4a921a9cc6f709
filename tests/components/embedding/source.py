"""A source of vectors that counts what it is asked, and answers when a test lets it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Self

import numpy as np

from tests.components.context import Surroundings, surroundings
from victor_dsl.components.embedding.cache import CachedEmbedder
from victor_dsl.components.embedding.vector_file import VectorFile


class CountingSource:
    """Each text's vector is made of its characters. `asked` are the batches so far."""

    def __init__(self, dims: int = 8, name: str = "counted", batch_size: int = 4, *, cancellable: bool = True) -> None:
        self.dims = dims
        self.name = name
        self.batch_size = batch_size
        self.cancellable = cancellable
        self.asked: list[list[str]] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.failure: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def identity(self) -> str:
        return self.name

    async def rows(self, texts: list[str]) -> Any:
        self.asked.append(texts)
        self.begun.set()
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return np.array([[len(text), *range(1, self.dims - 1), ord(text[0])] for text in texts], dtype=np.float32)

    @property
    def texts(self) -> list[str]:
        """Every text that was asked for, in order."""
        return [text for batch in self.asked for text in batch]


def cached(
    source: CountingSource,
    folder: Path | None = None,
    *,
    entries: int = 100,
    around: Surroundings | None = None,
    path: Path | None = None,
    max_characters: int = 8000,
) -> CachedEmbedder:
    """The source with a memory; with a folder, its file lies there."""
    around = around or surroundings(folder or Path("/nowhere"), "embedders/main")
    disk = None
    if folder is not None:
        disk = VectorFile(path or folder / "embeddings.db", around.context, entries=entries)
    return CachedEmbedder(source, disk, around.context, max_characters=max_characters)
