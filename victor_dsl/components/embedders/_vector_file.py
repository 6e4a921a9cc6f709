"""Vectors in a SQLite file that several processes share; a fault of the file costs time, never a turn."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import orjson

from victor_dsl.components.embedders._vectors import Matrix
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.storage.sqlite_file import SqliteFile

AT_ONCE = 1_000
"""So many vectors are read in one statement."""

BUSY_SECONDS = 1.0
"""How long another process's write is waited for."""

REST_SECONDS = 60.0
"""How long the file is left alone after a fault that may pass."""

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
    """Rows by key: little-endian float32. The file is opened by its first use.

    Which vectors are used is noted by the day. A fault is reported once; one that may pass makes the file rest for a
    minute, any other for as long as this is open.
    """

    def __init__(self, path: str | Path, context: Context, *, entries: int) -> None:
        self._file = SqliteFile(path, busy_timeout_s=BUSY_SECONDS)
        self._context = context
        self._entries = entries
        self._unchecked = entries  # what other processes wrote before is counted at the first write
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._opened = False
        self._rests_until = -math.inf
        self._reported: set[str] = set()

    async def close(self) -> None:
        """Closes the file; the next use would open it again."""
        self._opened = False
        await self._stack.aclose()

    async def read(self, embedder: str, keys: Sequence[str]) -> dict[str, Matrix]:
        """The rows that are there: those that are whole and of unit length, or zero."""
        rows: dict[str, Matrix] = {}
        if not await self._usable():
            return rows
        today, old = self._today(), []
        try:
            for start in range(0, len(keys), AT_ONCE):
                wanted = orjson.dumps(keys[start : start + AT_ONCE]).decode()
                for found in await self._file.fetch(_READ, embedder, wanted):
                    row = _row(found["vector"])
                    if row is not None:
                        rows[found["key"]] = row
                        if found["used"] != today:
                            old.append(found["key"])
            if old:
                await self._file.execute([(_TOUCH, (today, orjson.dumps(old).decode()))])
        except StoreError as error:
            self._rest(error)
        return rows

    async def write(self, embedder: str, rows: Mapping[str, Matrix]) -> None:
        """Keeps the rows; of all in the file those not used for longest go."""
        today = self._today()
        values = [(key, embedder, today, row.astype("<f4").tobytes()) for key, row in rows.items()]
        self._unchecked += len(values)
        check = self._unchecked > self._entries // 20

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_WRITE, values)
            if check:
                (count,) = connection.execute("SELECT count(*) FROM embeddings").fetchone()
                if count > self._entries:
                    connection.execute(_TRIM, (count - self._entries,))

        if await self._change(work) and check:
            self._unchecked = 0

    async def forget(self, embedder: str) -> None:
        """Takes out all rows of that embedder."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM embeddings WHERE embedder = ?", (embedder,))

        await self._change(work)

    async def _change(self, work: Callable[[sqlite3.Connection], None]) -> bool:
        if not await self._usable():
            return False
        try:
            await self._file.transaction(work)
        except StoreError as error:
            self._rest(error)
            return False
        return True

    async def _usable(self) -> bool:
        if self._context.clock.monotonic() < self._rests_until:
            return False
        async with self._opening:
            if not self._opened:
                try:
                    await self._stack.enter_async_context(self._file)
                    await self._file.execute([(_TABLE, ()), (_BY_USE, ())])
                    self._opened = True
                except StoreError as error:
                    self._rest(error)
                finally:
                    if not self._opened:
                        await self._stack.aclose()
        return self._opened

    def _rest(self, error: StoreError) -> None:
        self._rests_until = self._context.clock.monotonic() + REST_SECONDS if error.transient else math.inf
        message = f"vectors are not kept on disk: {error.message}"
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
