"""Writes events into a SQLite database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from attrs import frozen

from victor_dsl.components.exporters._rows import COLUMNS, row_of
from victor_dsl.errors import ComponentError
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.event import Event, rfc3339

TABLE = """CREATE TABLE IF NOT EXISTS "{table}" (
    event_id TEXT PRIMARY KEY,
    event_type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    session_id TEXT NOT NULL,
    tenant_id TEXT,
    pipeline TEXT NOT NULL,
    plan TEXT NOT NULL,
    variants TEXT NOT NULL,
    event_data TEXT NOT NULL
)"""
INDEX = 'CREATE INDEX IF NOT EXISTS "{table}_timestamp" ON "{table}" (timestamp)'


@frozen
class SqliteEvents:
    """An exporter into one table; an event that is there already is left as it is."""

    database: SqliteFile
    insert: str

    async def export(self, events: Sequence[Event]) -> None:
        rows = [row_of(event, rfc3339(event.timestamp)) for event in events]
        await self.database.transaction(lambda connection: connection.executemany(self.insert, rows))


@asynccontextmanager
async def exporting(database: SqlDatabase, table: str, node: str) -> AsyncIterator[SqliteEvents]:
    """The exporter; the table is made where it is not there yet. Raises StoreError, ComponentError."""
    if not isinstance(database, SqliteFile):
        raise ComponentError("writes into a database of type sqlite only", node=node, hint="there is type: postgres")
    await database.execute([(TABLE.format(table=table), ()), (INDEX.format(table=table), ())])
    columns, values = ", ".join(COLUMNS), ", ".join("?" for _ in COLUMNS)
    # The table's name is held to letters, digits and underscores by the Config.
    insert = f'INSERT INTO "{table}" ({columns}) VALUES ({values}) ON CONFLICT (event_id) DO NOTHING'  # noqa: S608
    yield SqliteEvents(database, insert)
