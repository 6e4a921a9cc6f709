"""An embedding model in this process, in a thread of its own, which the first text that needs it loads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from attrs import frozen

from victor_dsl.components.embedding.config import LocalConfig
from victor_dsl.components.embedding.vectors import Matrix
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.lazy import Lazy
from victor_dsl.storage.ending import to_the_end

if TYPE_CHECKING:
    import huggingface_hub
    import huggingface_hub.errors as hub_errors
else:
    huggingface_hub = Lazy("huggingface_hub")
    hub_errors = Lazy("huggingface_hub.errors")

T = TypeVar("T")

Encode = Callable[[list[str]], Matrix]

_MAX_HASHED_BYTES = 4 * 1024 * 1024
_SAMPLE_BYTES = 64 * 1024
_SAMPLES = 32
_NOT_PART_OF_THE_MODEL = (".md", ".lock", ".metadata")


@frozen
class Library:
    """A library of models: `download` fetches the model, `load` opens a folder and gives its encoder. Both may be slow."""

    name: str
    download: Callable[[], object]
    load: Callable[[str], Encode]


class LocalModel:
    """Encodes one batch after another. A batch that was started runs to its end, even if its turn is cancelled."""

    cancellable = False

    def __init__(self, library: Library, config: LocalConfig, context: Context) -> None:
        self._library = library
        self._config = config
        self._node = context.node
        self.batch_size = config.batch_size
        self._shown_path = "" if config.path is None else context.shown(config.path)
        self._encode: Encode | None = None
        self._folder = ""
        self._thread: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        if self._config.path is not None and not await asyncio.to_thread(os.path.isdir, self._config.path):
            raise ComponentError(f"the folder of the model does not exist: {self._shown_path}", node=self._node)
        # One thread of its own: libraries of models are not thread-safe, and loading one takes seconds.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")
        try:
            if self._config.preload:
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
        """The library's name and a fingerprint of the model's files. It does not load the model."""
        return await self._run(lambda: f"{self._library.name} {fingerprint(self._located())}")

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
        except Exception as error:  # the library may raise anything
            message = " ".join(str(error).split()) or type(error).__name__
            path = self._config.path
            message = message.replace(path, self._shown_path) if path else message
            raise ComponentError(f"{self._library.name}: {message[:500]}", node=self._node) from error

    def _loaded(self) -> Encode:
        if self._encode is None:
            self._encode = self._library.load(self._located())
        return self._encode

    def _located(self) -> str:
        if not self._folder:
            config = self._config
            download = self._library.download if config.download else None
            self._folder = config.path or hub_folder(str(config.model), download)
        return self._folder


def hub_folder(name: str, download: Callable[[], object] | None) -> str:
    """The folder of a model of the Hugging Face hub, after `download` if it is not there. Raises ComponentError."""
    try:
        return huggingface_hub.snapshot_download(name, local_files_only=True)
    except hub_errors.HFValidationError as error:
        raise ComponentError(f"'{name}' is not a model's name", hint="write a folder as `path`") from error
    except hub_errors.LocalEntryNotFoundError as error:
        if download is None:
            hint = "write `download: true`, or the folder of a copy as `path`"
            raise ComponentError(f"the model {name} is not on this machine", hint=hint) from error
    download()
    return huggingface_hub.snapshot_download(name, local_files_only=True)


def fingerprint(folder: str) -> str:
    """A hash of the model's files: of small files as a whole, of large ones by their size and samples.

    Raises OSError.
    """
    digest = blake2b(digest_size=16)
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and path.suffix not in _NOT_PART_OF_THE_MODEL and not hidden:
            digest.update(f"{name.as_posix()} {path.stat().st_size}\n".encode("utf-8", "surrogateescape"))
            for data in _samples(path):
                digest.update(data)
    return digest.hexdigest()


def _samples(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _MAX_HASHED_BYTES:
            yield file.read()
            return
        for number in range(_SAMPLES):
            file.seek((size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            yield file.read(_SAMPLE_BYTES)
