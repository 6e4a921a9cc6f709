"""The tables that components use, created step by step: numbered SQL files for each dialect, applied in order, each once.

The table `victor_migrations` records what was applied. All pending steps run in one transaction, under a lock, so that
several processes may migrate at once. The session store `sqlite` creates its table itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from attrs import frozen

from victor_dsl.errors import StoreError
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.runtime_role import grant_runtime
from victor_dsl.storage.sqlite_file import SqliteFile, by_number

LOCK = 0x766963746F72  # "victor": the number of the advisory lock
WAITING_SECONDS = 600.0
LEDGER = "CREATE TABLE IF NOT EXISTS victor_migrations (number integer PRIMARY KEY, name text NOT NULL)"
APPLIED = "SELECT number FROM victor_migrations"
RECORD = "INSERT INTO victor_migrations (number, name) VALUES ($1, $2)"
LEDGER_EXISTS = {
    "postgres": "SELECT 1 WHERE to_regclass('victor_migrations') IS NOT NULL",
    "sqlite": "SELECT 1 FROM sqlite_master WHERE name = 'victor_migrations'",
}
BYPASSES_ROW_SECURITY = "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"


@frozen
class Migration:
    """One step: its number, name and statements."""

    number: int
    name: str
    sql: str

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def migrations(dialect: str) -> tuple[Migration, ...]:
    """All steps for a dialect, in order."""
    return tuple(sorted(_read(dialect), key=lambda migration: migration.number))


async def pending(database: PostgresPool | SqliteFile) -> tuple[Migration, ...]:
    """The steps that `migrate` would apply. Raises StoreError."""
    known = migrations(database.dialect)
    if not await database.fetch(LEDGER_EXISTS[database.dialect]):
        return known
    return _missing(known, [row["number"] for row in await database.fetch(APPLIED)])


async def migrate(database: PostgresPool | SqliteFile, *, runtime_role: str | None = None) -> tuple[Migration, ...]:
    """Applies the pending steps, all or none, and returns them. Raises StoreError.

    `runtime_role` gets the rights of the role that runs turns; SQLite has no roles.
    """
    if isinstance(database, SqliteFile):
        return await database.transaction(_migrate_sqlite)
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK, timeout=WAITING_SECONDS)
        await connection.execute(LEDGER)
        applied = [row["number"] for row in await connection.fetch(APPLIED)]
        missing = _missing(migrations(database.dialect), applied)
        for migration in missing:
            await connection.execute(migration.sql, timeout=WAITING_SECONDS)
            await connection.execute(RECORD, migration.number, migration.name)
        if runtime_role is not None:
            await grant_runtime(connection, runtime_role)
    return missing


async def bypasses_row_security(database: PostgresPool | SqliteFile) -> bool:
    """Whether row-level security does not apply to the role in the dsn."""
    return isinstance(database, PostgresPool) and bool(await database.fetch(BYPASSES_ROW_SECURITY))


def _migrate_sqlite(connection: sqlite3.Connection) -> tuple[Migration, ...]:
    connection.execute(LEDGER)
    missing = _missing(migrations("sqlite"), [number for (number,) in connection.execute(APPLIED)])
    for migration in missing:
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(RECORD, by_number((migration.number, migration.name)))
    return missing


def _missing(known: tuple[Migration, ...], applied: Iterable[int]) -> tuple[Migration, ...]:
    done = frozenset(applied)
    if newer := done - {migration.number for migration in known}:
        raise StoreError(
            f"the database was migrated by a newer version of victor: it has step {max(newer)}", hint="use that version"
        )
    return tuple(migration for migration in known if migration.number not in done)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script. sqlite3's `executescript` would commit the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _read(dialect: str) -> Iterator[Migration]:
    for path in (Path(__file__).parent / dialect).glob("*.sql"):
        number, _, name = path.stem.partition("_")
        yield Migration(int(number), name, path.read_text(encoding="utf-8"))
