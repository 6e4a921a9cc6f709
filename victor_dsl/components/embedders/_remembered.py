"""Vectors that are made once for a text: kept in memory and on disk, and waited for by whoever asks meanwhile."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Protocol, Self

import numpy as np

from victor_dsl.components.embedders._vector_file import VectorFile
from victor_dsl.components.embedders._vectors import Matrix, unit_rows
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.storage.ending import to_the_end

MEMORY_BYTES = 32 * 1024 * 1024
"""How much the vectors in memory may take: 20,000 of 384 numbers."""

BATCH_CHARACTERS = 200_000
"""A batch ends before it has more text than this."""

ON_LOOP_CHARACTERS = 500_000
ON_LOOP_ROWS = 2_000
"""Up to this much text and this many rows, a few milliseconds of work, keys are hashed and rows put together on the loop."""

_TRIES = 3
_ANY_WORD = b"."


class Source(Protocol):
    """What makes vectors. Entered, it may be asked by several tasks at once.

    Where `goes_on`, a batch that was begun cannot be stopped: it is asked for one batch after another, and what a turn
    gave up is kept all the same.
    """

    batch_size: int
    goes_on: bool

    async def __aenter__(self) -> object:
        """Opens it, and does not wait for what takes long."""
        ...

    async def __aexit__(self, *error: object) -> None:
        """Closes it."""
        ...

    async def identity(self) -> str:
        """What tells this embedder's vectors from any other's. Raises ComponentError."""
        ...

    async def rows(self, texts: list[str]) -> Matrix:
        """Rows of any length for texts that have something in them. Raises ComponentError."""
        ...


class Remembered:
    """An embedder that asks its source for a text only once.

    A text is known by a hash that is keyed with the source's identity. A turn that is cancelled leaves what it has
    not got to whoever else waits for it.
    """

    def __init__(self, source: Source, disk: VectorFile | None, context: Context, *, max_characters: int) -> None:
        self._source = source
        self._disk = disk
        self._context = context
        self._max_characters = max_characters
        self._off_loop = OffLoop()
        self._identity: bytes = b""
        self._dims = 0
        self._kept: OrderedDict[str, Matrix] = OrderedDict()
        self._coming: dict[str, asyncio.Future[Matrix | Exception | None]] = {}
        self._asking: dict[asyncio.Task[None], Mapping[str, bytes]] = {}

    async def __aenter__(self) -> Self:
        await self._source.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            if self._asking:
                await to_the_end(asyncio.wait(self._asking))
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
            wanted = {self._key(_ANY_WORD): _ANY_WORD}  # rows of zeros have a length, too
        rows = await self._rows(wanted)
        return await self._off_loop.run_if(is_large, self._together, keys, rows)

    def _prepare(self, texts: Sequence[str]) -> tuple[list[str | None], dict[str, bytes]]:
        """Each text's key, None where there is nothing in it, and what the keys stand for."""
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

    def _together(self, keys: list[str | None], rows: Mapping[str, Matrix]) -> Matrix:
        matrix = np.zeros((len(keys), self._dims), dtype=np.float32)
        for place, key in enumerate(keys):
            if key is not None:
                matrix[place] = rows[key]
        return matrix

    async def _rows(self, wanted: Mapping[str, bytes]) -> dict[str, Matrix]:
        """A row for each key, all of one length."""
        for _ in range(_TRIES):
            rows: dict[str, Matrix] = {}
            while missing := [key for key in wanted if key not in rows]:
                await self._look(wanted, missing, rows)
            if all(len(row) == self._dims for row in rows.values()):
                return rows
            self._drop_others()  # the source began to give another length meanwhile
        raise ComponentError("the embedder gives vectors of different lengths", node=self._context.node)

    async def _look(self, wanted: Mapping[str, bytes], missing: Iterable[str], rows: dict[str, Matrix]) -> None:
        """Finds the missing rows or makes them. A row that another turn gave up stays missing."""
        mine: dict[str, bytes] = {}
        others: dict[str, asyncio.Future[Matrix | Exception | None]] = {}
        for key in missing:
            row = self._kept.get(key)
            if row is not None:
                self._kept.move_to_end(key)
                rows[key] = row
            elif key in self._coming:
                others[key] = self._coming[key]
            else:
                mine[key] = wanted[key]
        if mine:
            rows.update(await self._make(mine))
        for key, coming in others.items():
            outcome = await asyncio.shield(coming)  # others wait for it, too
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                rows[key] = outcome

    async def _make(self, mine: Mapping[str, bytes]) -> dict[str, Matrix]:
        """Rows from the disk or the source; who waits for one of them gets it as soon as it is there."""
        loop = asyncio.get_running_loop()
        coming = {key: loop.create_future() for key in mine}
        self._coming.update(coming)
        rows: dict[str, Matrix] = {}
        failure: Exception | None = None
        try:
            self._arrived(await self._from_disk(mine), rows)
            batches = self._batches({key: data for key, data in mine.items() if key not in rows})
            if self._source.goes_on:
                for batch in batches:
                    await asyncio.shield(self._asked(batch, rows))
            else:
                async with asyncio.TaskGroup() as group:
                    for batch in batches:
                        group.create_task(self._ask(batch, rows))
        except ExceptionGroup as failures:
            failure = failures.exceptions[0]
        except ComponentError as error:
            failure = error
        finally:
            going = {key for batch in self._asking.values() for key in batch}
            self._end([key for key in coming if key not in going], failure)
        if failure is not None:
            raise failure
        return rows

    def _asked(self, batch: Mapping[str, bytes], rows: dict[str, Matrix]) -> asyncio.Task[None]:
        """The asking as a task of its own, which closing waits for."""
        task = asyncio.create_task(self._ask(batch, rows))
        self._asking[task] = batch

        def ended(task: asyncio.Task[None]) -> None:
            failure = None if task.cancelled() else task.exception()  # seen: asyncio logs errors that nobody looked at
            self._end(self._asking.pop(task), failure if isinstance(failure, Exception) else None)

        task.add_done_callback(ended)
        return task

    def _end(self, keys: Iterable[str], failure: Exception | None) -> None:
        """Nothing more comes for these keys: who still waits is told why, or asks anew."""
        for key in keys:
            future = self._coming.pop(key, None)
            if future is not None and not future.done():
                future.set_result(failure)

    async def _from_disk(self, mine: Mapping[str, bytes]) -> dict[str, Matrix]:
        if self._disk is None:
            return {}
        found = await self._disk.read(self._identity.hex(), list(mine))
        if found and not self._dims:
            self._dims = len(next(iter(found.values())))
        return {key: row for key, row in found.items() if len(row) == self._dims}

    async def _ask(self, batch: Mapping[str, bytes], rows: dict[str, Matrix]) -> None:
        matrix = np.asarray(await self._source.rows([data.decode() for data in batch.values()]), dtype=np.float32)
        if matrix.ndim != 2 or len(matrix) != len(batch) or not matrix.shape[1]:
            raise ComponentError(
                f"the model gave an array of {matrix.shape} for {len(batch)} texts", node=self._context.node
            )
        if not np.isfinite(matrix).all():
            raise ComponentError("the model gave a vector that is not finite", node=self._context.node)
        if matrix.shape[1] != self._dims:
            await self._change_dims(matrix.shape[1])
        made = dict(zip(batch, map(np.copy, unit_rows(matrix)), strict=True))  # a view would keep the whole batch
        self._arrived(made, rows)
        if self._disk is not None:
            await self._disk.write(self._identity.hex(), made)

    async def _change_dims(self, dims: int) -> None:
        """Another length of vectors is another model behind the old name: nothing kept is worth anything."""
        before, self._dims = self._dims, dims
        self._drop_others()
        if before:
            message = f"vectors have {dims} numbers now, {before} before: those kept are forgotten"
            self._context.report(message, {"code": "embedder"})
            if self._disk is not None:
                await self._disk.forget(self._identity.hex())

    def _drop_others(self) -> None:
        for key in [key for key, row in self._kept.items() if len(row) != self._dims]:
            del self._kept[key]

    def _arrived(self, found: Mapping[str, Matrix], rows: dict[str, Matrix]) -> None:
        rows.update(found)
        for key, row in found.items():
            self._kept[key] = row
            future = self._coming.get(key)
            if future is not None and not future.done():
                future.set_result(row)
        while len(self._kept) * self._dims * 4 > MEMORY_BYTES:
            self._kept.popitem(last=False)

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
