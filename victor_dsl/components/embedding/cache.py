"""The cache of vectors: each text is embedded once, whoever needs it, at the same time or later."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, Self

import numpy as np

from victor_dsl.components.embedding.config import CachedConfig
from victor_dsl.components.embedding.vector_file import VectorFile
from victor_dsl.components.embedding.vectors import Matrix, unit_rows
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.storage.ending import to_the_end

MEMORY_BYTES = 32 * 1024 * 1024
"""The most bytes of vectors in memory: 20,000 vectors of 384 numbers."""

BATCH_CHARACTERS = 200_000
"""The most text in one batch, unless a single text is longer."""

ON_LOOP_CHARACTERS = 500_000
ON_LOOP_ROWS = 2_000
"""Up to this much text and this many rows, a few milliseconds of work, keys and rows are made on the event loop."""

_MAX_ATTEMPTS = 3
_ANY_WORD = b"."


class Source(Protocol):
    """What computes vectors. While it is entered, several tasks may call it at the same time.

    If it is not `cancellable`, a batch that has started cannot be stopped: batches are then requested one after
    another, and their vectors are cached even if the turn was cancelled.
    """

    batch_size: int
    cancellable: bool

    async def __aenter__(self) -> object:
        """Opens it, without waiting for slow work."""
        ...

    async def __aexit__(self, *error: object) -> None:
        """Closes it."""
        ...

    async def identity(self) -> str:
        """What distinguishes this embedder's vectors from those of any other. Raises ComponentError."""
        ...

    async def rows(self, texts: list[str]) -> Matrix:
        """Rows of any length, for texts that are not blank. Raises ComponentError."""
        ...


def cached(source: Source, config: CachedConfig, context: Context) -> CachedEmbedder:
    """An embedder with a cache in memory, and one on disk unless the Config has none."""
    path = config.cache or context.state / "embeddings.db"
    disk = VectorFile(path, context, entries=config.cache_entries) if config.cache_entries else None
    return CachedEmbedder(source, disk, context, max_characters=config.max_characters)


class CachedEmbedder:
    """An embedder that requests each text from its source once.

    The key of a text is its hash, keyed with the source's identity. If a turn is cancelled, the other turns that wait
    for its texts request them again.
    """

    def __init__(self, source: Source, disk: VectorFile | None, context: Context, *, max_characters: int) -> None:
        self._source = source
        self._disk = disk
        self._context = context
        self._max_characters = max_characters
        self._off_loop = OffLoop()
        self._identity: bytes = b""
        self._dims = 0
        self._memory: OrderedDict[str, Matrix] = OrderedDict()  # the least recently used first
        self._pending: dict[str, asyncio.Future[Matrix | Exception | None]] = {}
        self._batches_running: dict[asyncio.Task[None], Mapping[str, bytes]] = {}

    async def __aenter__(self) -> Self:
        await self._source.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            if self._batches_running:
                await to_the_end(asyncio.wait(self._batches_running))
            await self._source.__aexit__()
        finally:
            if self._disk is not None:
                await self._disk.close()

    async def embed(self, texts: Sequence[str]) -> Matrix:
        """float32, (texts, dims), unit rows. Raises ComponentError."""
        if not self._identity:
            self._identity = blake2b((await self._source.identity()).encode(), digest_size=16).digest()
        is_large = sum(map(len, texts)) > ON_LOOP_CHARACTERS or len(texts) > ON_LOOP_ROWS
        keys, wanted = await self._off_loop.run_if(is_large, self._prepare, texts)
        if not wanted and texts and not self._dims:
            wanted = {self._key(_ANY_WORD): _ANY_WORD}  # to learn the length of the rows of zeros
        rows = await self._rows(wanted)
        return await self._off_loop.run_if(is_large, self._assemble, keys, rows)

    def _prepare(self, texts: Sequence[str]) -> tuple[list[str | None], dict[str, bytes]]:
        """The key of each text, None for a blank one, and the text of each key."""
        keys: list[str | None] = []
        wanted: dict[str, bytes] = {}
        for text in texts:
            data = text[: self._max_characters].encode("utf-8", "replace")
            key = self._key(data) if data and not data.isspace() else None
            keys.append(key)
            if key is not None:
                wanted[key] = data
        return keys, wanted

    def _key(self, data: bytes) -> str:
        return blake2b(data, digest_size=20, key=self._identity).hexdigest()

    def _assemble(self, keys: list[str | None], rows: Mapping[str, Matrix]) -> Matrix:
        matrix = np.zeros((len(keys), self._dims), dtype=np.float32)
        for position, key in enumerate(keys):
            if key is not None:
                matrix[position] = rows[key]
        return matrix

    async def _rows(self, wanted: Mapping[str, bytes]) -> dict[str, Matrix]:
        """A row for each key, all of one length."""
        for _ in range(_MAX_ATTEMPTS):
            rows: dict[str, Matrix] = {}
            while missing := [key for key in wanted if key not in rows]:
                await self._add_missing(wanted, missing, rows)
            if all(len(row) == self._dims for row in rows.values()):
                return rows
            self._drop_other_lengths()  # the source changed the length of its vectors meanwhile
        raise ComponentError("the embedder returns vectors of different lengths", node=self._context.node)

    async def _add_missing(self, wanted: Mapping[str, bytes], missing: Iterable[str], rows: dict[str, Matrix]) -> None:
        """Finds or computes the missing rows, except those whose computation another turn gave up."""
        mine: dict[str, bytes] = {}
        others: dict[str, asyncio.Future[Matrix | Exception | None]] = {}
        for key in missing:
            row = self._memory.get(key)
            if row is not None:
                self._memory.move_to_end(key)
                rows[key] = row
            elif key in self._pending:
                others[key] = self._pending[key]
            else:
                mine[key] = wanted[key]
        if mine:
            rows.update(await self._compute(mine))
        for key, pending in others.items():
            outcome = await asyncio.shield(pending)  # other turns wait for it, too
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                rows[key] = outcome

    async def _compute(self, mine: Mapping[str, bytes]) -> dict[str, Matrix]:
        """Rows from the disk or the source. Other turns that wait for one of them get it as soon as it is there."""
        loop = asyncio.get_running_loop()
        pending = {key: loop.create_future() for key in mine}
        self._pending.update(pending)
        rows: dict[str, Matrix] = {}
        failure: Exception | None = None
        try:
            self._store(await self._read_disk(mine), rows)
            batches = self._batches({key: data for key, data in mine.items() if key not in rows})
            if self._source.cancellable:
                async with asyncio.TaskGroup() as group:
                    for batch in batches:
                        group.create_task(self._compute_batch(batch, rows))
            else:
                for batch in batches:
                    await asyncio.shield(self._start_batch(batch, rows))
        except ExceptionGroup as failures:
            failure = failures.exceptions[0]
        except ComponentError as error:
            failure = error
        finally:
            still_running = {key for batch in self._batches_running.values() for key in batch}
            self._end_pending([key for key in pending if key not in still_running], failure)
        if failure is not None:
            raise failure
        return rows

    def _start_batch(self, batch: Mapping[str, bytes], rows: dict[str, Matrix]) -> asyncio.Task[None]:
        """Computes the batch in a task of its own, which outlives the turn. Closing the embedder waits for it."""
        task = asyncio.create_task(self._compute_batch(batch, rows))
        self._batches_running[task] = batch

        def ended(task: asyncio.Task[None]) -> None:
            # Reading the exception keeps asyncio from logging it where no turn waits for the task.
            failure = None if task.cancelled() else task.exception()
            self._end_pending(self._batches_running.pop(task), failure if isinstance(failure, Exception) else None)

        task.add_done_callback(ended)
        return task

    def _end_pending(self, keys: Iterable[str], failure: Exception | None) -> None:
        """Wakes the turns that wait for keys without a row. They raise the failure or, without one, compute the rows."""
        for key in keys:
            future = self._pending.pop(key, None)
            if future is not None and not future.done():
                future.set_result(failure)

    async def _read_disk(self, mine: Mapping[str, bytes]) -> dict[str, Matrix]:
        if self._disk is None:
            return {}
        found = await self._disk.read(self._identity.hex(), list(mine))
        if found and not self._dims:
            self._dims = len(next(iter(found.values())))
        return {key: row for key, row in found.items() if len(row) == self._dims}

    async def _compute_batch(self, batch: Mapping[str, bytes], rows: dict[str, Matrix]) -> None:
        matrix = np.asarray(await self._source.rows([data.decode() for data in batch.values()]), dtype=np.float32)
        if matrix.ndim != 2 or len(matrix) != len(batch) or not matrix.shape[1]:
            message = f"the model returned an array of {matrix.shape} for {len(batch)} texts"
            raise ComponentError(message, node=self._context.node)
        if not np.isfinite(matrix).all():
            raise ComponentError("the model returned a vector that is not finite", node=self._context.node)
        if matrix.shape[1] != self._dims:
            await self._change_dims(matrix.shape[1])
        computed = dict(zip(batch, map(np.copy, unit_rows(matrix)), strict=True))  # a view would keep the whole batch
        self._store(computed, rows)
        if self._disk is not None:
            await self._disk.write(self._identity.hex(), computed)

    async def _change_dims(self, dims: int) -> None:
        """Vectors of another length are from another model behind the same name, so all cached ones are deleted."""
        before, self._dims = self._dims, dims
        self._drop_other_lengths()
        if before:
            message = f"vectors have {dims} numbers now instead of {before}: the cached ones were deleted"
            self._context.report(message, {"code": "embedder"})
            if self._disk is not None:
                await self._disk.delete(self._identity.hex())

    def _drop_other_lengths(self) -> None:
        for key in [key for key, row in self._memory.items() if len(row) != self._dims]:
            del self._memory[key]

    def _store(self, found: Mapping[str, Matrix], rows: dict[str, Matrix]) -> None:
        rows.update(found)
        for key, row in found.items():
            self._memory[key] = row
            future = self._pending.get(key)
            if future is not None and not future.done():
                future.set_result(row)
        while len(self._memory) * self._dims * 4 > MEMORY_BYTES:
            self._memory.popitem(last=False)

    def _batches(self, wanted: Mapping[str, bytes]) -> Iterable[dict[str, bytes]]:
        batch: dict[str, bytes] = {}
        size = 0
        for key, data in wanted.items():
            if batch and (len(batch) == self._source.batch_size or size + len(data) > BATCH_CHARACTERS):
                yield batch
                batch, size = {}, 0
            batch[key] = data
            size += len(data)
        if batch:
            yield batch
