"""A SQLite file: one thread that writes, a few that read, and every error as a StoreError that names the file."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from victor_dsl.errors import StoreError
from victor_dsl.storage import migrate_command
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.permissions import exposure, make_private_folder

logger = logging.getLogger("victor_dsl")

T = TypeVar("T")

MEMORY = ":memory:"
WAL_PAUSE_SECONDS = 0.01
NOT_UTF8 = "a text in it is not UTF-8"
TRANSIENT = ("locked", "busy", "disk is full", "disk I/O", "readonly", "unable to open")
"""Words in the messages of errors that may go away by themselves."""


class SqliteFile:
    """A database; `path` may be `:memory:`. An async context manager that can be entered any number of times.

    Each connection has a thread of its own. One of them runs all writes, one transaction each; up to `readers` more are
    opened as needed for statements that begin with SELECT (none for `:memory:`, which is private to its connection).
    The journal mode is WAL, so readers do not wait for the writer. The error of a missing table names the command that
    creates the tables of `node`, such as `databases/main`.
    """

    dialect = "sqlite"

    def __init__(self, path: str | Path, *, readers: int = 2, busy_timeout_s: float = 5.0, node: str = "") -> None:
        self.path = str(path)
        self._node = node
        self._most_readers = 0 if self.path == MEMORY else readers
        self._busy_timeout_s = busy_timeout_s
        self._writer: _Connection | None = None
        self._readers: list[_Connection] = []
        self._idle: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()

    async def __aenter__(self) -> Self:
        self._idle = asyncio.LifoQueue()
        self._writer = _Connection(self.path, self._busy_timeout_s, self._node, read_only=False)
        try:
            await self._writer.run(lambda _: None)  # opens the file
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    async def fetch(self, sql: str, *parameters: Any) -> list[Mapping[str, Any]]:
        """The rows of one statement; its parameters are written `$1`, `$2`, … Raises StoreError."""
        values = by_number(parameters)

        def work(connection: sqlite3.Connection) -> list[Mapping[str, Any]]:
            cursor = connection.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]

        if not self._most_readers or sql.lstrip()[:6].upper() != "SELECT":
            return await self._open_writer().run(work)
        reader = await self._reader()
        try:
            return await reader.run(work)
        finally:
            self._idle.put_nowait(reader)

    async def execute(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Runs the statements in one transaction: all of them or none. Raises StoreError."""
        prepared = [(sql, by_number(parameters)) for sql, parameters in statements]

        def work(connection: sqlite3.Connection) -> None:
            for sql, values in prepared:
                connection.execute(sql, values)

        await self.transaction(work)

    async def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, run in the writer's thread in a transaction that locks out other writers. Raises StoreError."""

        def whole(connection: sqlite3.Connection) -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return result

        return await self._open_writer().run(whole)

    def for_tenant(self, tenant: str | None) -> Self:  # noqa: ARG002
        """This database: SQLite has no row-level security, so statements must name the tenant."""
        return self

    def for_every_tenant(self) -> Self:
        """This database."""
        return self

    def _open_writer(self) -> _Connection:
        if self._writer is None:
            raise StoreError(f"{self.path}: the database is closed")
        return self._writer

    async def _reader(self) -> _Connection:
        self._open_writer()
        if self._idle.empty() and len(self._readers) < self._most_readers:
            reader = _Connection(self.path, self._busy_timeout_s, self._node, read_only=True)
            self._readers.append(reader)
            return reader
        return await self._idle.get()

    async def _close(self) -> None:
        connections = [
            *self._readers,
            *([self._writer] if self._writer else []),
        ]  # the writer last: closing it removes the WAL
        self._writer = None
        self._readers = []
        await to_the_end(_close_all(connections))


class _Connection:
    """A connection and its thread; the first work opens it."""

    def __init__(self, path: str, busy_timeout_s: float, node: str, *, read_only: bool) -> None:
        self._path = path
        self._node = node
        self._busy_timeout_s = busy_timeout_s
        self._read_only = read_only
        # An executor, not `OffLoop`: sqlite3 ties a connection to one thread, and closing waits for what was begun.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work`, run in the connection's thread. Work that has begun also ends when the caller is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()  # its queue is empty, so this does not wait

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror or error}", transient=True) from error
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            reason = NOT_UTF8 if "Could not decode to UTF-8" in str(error) else error  # the error quotes the text
            hint = _hint(error, self._node)
            raise StoreError(f"{self._path}: {reason}", hint=hint, transient=_is_transient(error)) from error

    def _open(self) -> sqlite3.Connection:
        if self._path != MEMORY:
            _create_private(Path(self._path))
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            if self._read_only:
                connection.execute("PRAGMA query_only = ON")
            else:
                self._use_wal(connection)
                # With WAL the file stays intact; a power cut may lose the last transactions.
                connection.execute("PRAGMA synchronous = NORMAL")
                if self._path != MEMORY and (problem := exposure(Path(self._path), self._path, private=True)):
                    logger.warning("%s", problem)
        except BaseException:
            connection.close()
            raise
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Switches the file to WAL. Where several processes do that at once, SQLite fails at once instead of waiting for them."""
        last = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() >= last:
                    raise
                time.sleep(WAL_PAUSE_SECONDS)
            else:
                return

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


async def _close_all(connections: Sequence[_Connection]) -> None:
    for connection in connections:
        await connection.close()


def by_number(parameters: Sequence[Any]) -> dict[str, Any]:
    """Parameters for statements that say `$1`, `$2`, …: to SQLite these are names.

    sqlite3 would bind a sequence to names in the order of their first use. Python 3.12 deprecates that, 3.14 refuses it.
    """
    return {str(number): value for number, value in enumerate(parameters, 1)}


def _create_private(path: Path) -> None:
    """Creates the file, readable by its owner only, and its folders, where they are missing."""
    make_private_folder(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(None, "is a folder", str(path)) from None


def _is_transient(error: Exception) -> bool:
    """Whether the error is about the file and may go away: another process may unlock it, someone may clear the disk."""
    return isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in TRANSIENT)


def _hint(error: Exception, node: str) -> str | None:
    text = str(error)
    if node and "no such table" in text:
        return f"create the tables with '{migrate_command(node)}'"
    if "not a database" in text or "malformed" in text:
        return "the file is not a SQLite database, or is damaged; move it away or restore it"
    if "readonly" in text:
        return "the file or its folder is read-only"
    if "disk is full" in text:
        return "free some space on the disk"
    if "locked" in text:
        return "another process has locked it"
    return None
