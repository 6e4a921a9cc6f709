"""A model in this process, in a thread of its own: loaded by the first text that needs it, from a folder that is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import ParamSpec, Self, TypeVar

from attrs import frozen

from victor_dsl.components.embedders._vectors import Matrix
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.storage.ending import to_the_end

P = ParamSpec("P")
T = TypeVar("T")

Encode = Callable[[list[str]], Matrix]

_WHOLE_BYTES = 4 * 1024 * 1024
_SAMPLE_BYTES = 64 * 1024
_SAMPLES = 32
_NO_PART = (".md", ".lock", ".metadata")


@frozen
class Library:
    """What a library of models does: `locate` gives the model's folder, `load` what encodes texts. Both may take long."""

    name: str
    locate: Callable[[], str]
    load: Callable[[str], Encode]


class LocalModel:
    """Texts are encoded one batch after another; a batch that was begun is ended, also when nobody waits for it."""

    goes_on = True

    def __init__(self, library: Library, context: Context, *, batch_size: int, path: str | None, preload: bool) -> None:
        self._library = library
        self._node = context.node
        self.batch_size = batch_size
        self._path = path
        self._shown = "" if path is None else context.shown(path)
        self._preload = preload
        self._encode: Encode | None = None
        self._folder = ""
        self._thread: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        if self._path is not None and not await asyncio.to_thread(os.path.isdir, self._path):
            raise ComponentError(f"{self._shown} is no folder: a model should be there", node=self._node)
        # An executor, not `OffLoop`: a model stays in one thread, and closing waits for the batch that was begun.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        try:
            if self._preload:
                await self._run(self._loaded)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        thread, self._thread, self._encode = self._thread, None, None
        if thread is not None:
            await to_the_end(asyncio.to_thread(thread.shutdown, cancel_futures=True))

    async def identity(self) -> str:
        """The library's name and a fingerprint of the model's files; the model need not be loaded for it."""
        return await self._run(lambda: f"{self._library.name} {fingerprint(self._found())}")

    async def rows(self, texts: list[str]) -> Matrix:
        """One row for each text. Raises ComponentError."""
        return await self._run(lambda: self._loaded()(texts))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise RuntimeError(f"{self._node} is not open")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except ComponentError as error:
            raise ComponentError(error.message, node=self._node, hint=error.hint) from error
        except MemoryError as error:
            raise ComponentError(f"{self._library.name}: not enough memory", node=self._node) from error
        except Exception as error:  # the library's own, which may be any
            told = " ".join(str(error).split()) or type(error).__name__
            told = told.replace(self._path, self._shown) if self._path else told
            raise ComponentError(f"{self._library.name}: {told[:500]}", node=self._node) from error

    def _loaded(self) -> Encode:
        if self._encode is None:
            self._encode = self._library.load(self._found())
        return self._encode

    def _found(self) -> str:
        self._folder = self._folder or self._library.locate()
        return self._folder


def fingerprint(folder: str) -> str:
    """A hash of the model's files: small ones whole, of large ones their size and pieces from all over them.

    Raises OSError.
    """
    digest = blake2b(digest_size=16)
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and path.suffix not in _NO_PART and not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()} {path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
            for piece in _pieces(path):
                digest.update(piece)
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            yield file.read()
            return
        for number in range(_SAMPLES):
            file.seek((size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            yield file.read(_SAMPLE_BYTES)
