"""The cache of vectors on disk: a SQLite file that several processes share. If it fails, no turn fails."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import orjson

from victor_dsl.components.embedding.vectors import Matrix
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.storage.sqlite_file import SqliteFile

READ_ROWS = 1_000
"""How many vectors one statement reads."""

BUSY_SECONDS = 1.0
"""How long to wait for another process to write."""

PAUSE_SECONDS = 60.0
"""How long the file is not used after a fault that may pass."""

_DAY_S = 86_400
_TABLE = (
    "CREATE TABLE IF NOT EXISTS embeddings "
    "(key TEXT NOT NULL PRIMARY KEY, embedder TEXT NOT NULL, used INTEGER NOT NULL, vector BLOB NOT NULL)"
)
_BY_USE = "CREATE INDEX IF NOT EXISTS embeddings_by_use ON embeddings (used)"
_READ = "SELECT key, used, vector FROM embeddings WHERE embedder = $1 AND key IN (SELECT value FROM json_each($2))"
_TOUCH = "UPDATE embeddings SET used = $1 WHERE key IN (SELECT value FROM json_each($2))"
_WRITE = (
    "INSERT INTO embeddings (key, embedder, used, vector) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET used = excluded.used, vector = excluded.vector"
)
_TRIM = "DELETE FROM embeddings WHERE key IN (SELECT key FROM embeddings ORDER BY used, rowid LIMIT ?)"


class VectorFile:
    """Rows by key, as little-endian float32. The first use opens the file.

    The day of the last use is stored with each vector. A fault is reported once. After a fault that may pass, the file
    is not used for a minute; after any other, it is not used again until this object is opened anew.
    """

    def __init__(self, path: str | Path, context: Context, *, entries: int) -> None:
        self._file = SqliteFile(path, busy_timeout_s=BUSY_SECONDS)
        self._context = context
        self._entries = entries
        self._uncounted = entries  # so that the first write counts what other processes wrote
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._opened = False
        self._unused_until = -math.inf
        self._reported: set[str] = set()

    async def close(self) -> None:
        """Closes the file. The next use opens it again."""
        self._opened = False
        await self._stack.aclose()

    async def read(self, embedder: str, keys: Sequence[str]) -> dict[str, Matrix]:
        """The rows that the file has. Damaged ones, whose length is neither 1 nor 0, are left out."""
        rows: dict[str, Matrix] = {}
        if not await self._usable():
            return rows
        today, outdated = self._today(), []
        try:
            for start in range(0, len(keys), READ_ROWS):
                wanted = orjson.dumps(keys[start : start + READ_ROWS]).decode()
                for found in await self._file.fetch(_READ, embedder, wanted):
                    row = _row(found["vector"])
                    if row is not None:
                        rows[found["key"]] = row
                        if found["used"] != today:
                            outdated.append(found["key"])
            if outdated:
                await self._file.execute([(_TOUCH, (today, orjson.dumps(outdated).decode()))])
        except StoreError as error:
            self._pause(error)
        return rows

    async def write(self, embedder: str, rows: Mapping[str, Matrix]) -> None:
        """Stores the rows, and deletes the least recently used ones where the file has too many."""
        today = self._today()
        values = [(key, embedder, today, row.astype("<f4").tobytes()) for key, row in rows.items()]
        self._uncounted += len(values)
        check = self._uncounted > self._entries // 20

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_WRITE, values)
            if check:
                (count,) = connection.execute("SELECT count(*) FROM embeddings").fetchone()
                if count > self._entries:
                    connection.execute(_TRIM, (count - self._entries,))

        if await self._change(work) and check:
            self._uncounted = 0

    async def delete(self, embedder: str) -> None:
        """Deletes all rows of an embedder."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM embeddings WHERE embedder = ?", (embedder,))

        await self._change(work)

    async def _change(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        if not await self._usable():
            return False
        try:
            await self._file.transaction(work)
        except StoreError as error:
            self._pause(error)
            return False
        return True

    async def _usable(self) -> bool:
        if self._context.clock.monotonic() < self._unused_until:
            return False
        async with self._opening:
            if not self._opened:
                try:
                    await self._stack.enter_async_context(self._file)
                    await self._file.execute([(_TABLE, ()), (_BY_USE, ())])
                    self._opened = True
                except StoreError as error:
                    self._pause(error)
                finally:
                    if not self._opened:
                        await self._stack.aclose()
        return self._opened

    def _pause(self, error: StoreError) -> None:
        self._unused_until = self._context.clock.monotonic() + PAUSE_SECONDS if error.transient else math.inf
        message = f"vectors are not cached on disk: {error.message}"
        if message not in self._reported:
            self._reported.add(message)
            self._context.report(message, {"code": error.code})

    def _today(self) -> int:
        return int(self._context.clock.now() // _DAY_S)


def _row(data: object) -> Matrix | None:
    if not isinstance(data, bytes) or not data or len(data) % 4:
        return None
    row: Matrix = np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)
    length = float(row @ row)
    return row if length == 0 or abs(length - 1) < 1e-3 else None
