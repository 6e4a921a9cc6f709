"""The exporter that writes events into a SQLite database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

from attrs import frozen
from pydantic import Field

from victor_dsl.components.event_rows import COLUMNS, event_row
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, Ref
from victor_dsl.values.event import Event, rfc3339

if TYPE_CHECKING:
    import sqlite3

    from victor_dsl.storage.sqlite_file import SqliteFile

TABLE = """CREATE TABLE IF NOT EXISTS "{table}" (
    event_id TEXT PRIMARY KEY,
    event_type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    session_id TEXT,
    tenant_id TEXT,
    user_id TEXT,
    pipeline TEXT NOT NULL,
    plan TEXT NOT NULL,
    variants TEXT NOT NULL,
    event_data TEXT NOT NULL
)"""
OLD_COLUMNS = "event_id, event_type, timestamp, session_id, tenant_id, pipeline, plan, variants, event_data"
"""Those of tables that earlier versions made: without users, and with a session everywhere."""
INDEX = 'CREATE INDEX IF NOT EXISTS "{table}_timestamp" ON "{table}" (timestamp)'


class Config(ExporterConfig):
    """Writes events into a table of a SQLite database, which is created if it is missing.

    Its columns are `event_id event_type timestamp session_id tenant_id user_id pipeline plan variants event_data`; times are
    RFC 3339 in UTC, so that they sort as text, and the last two columns are JSON. A batch is one transaction. An event that
    is exported again is not stored twice. NUL is stored as ␀, a lone surrogate as �, NaN as text.
    """

    database: Annotated[str, Ref("databases", ("sqlite",))] = Field(
        description="A database of type `sqlite`, by its name under `databases`.", examples=["app"]
    )
    table: str = Field("analytics_events", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$", description="The table's name.")


EXAMPLE = "{type: sqlite, database: app}"


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[SqliteEvents]:
    """The exporter; entering it creates the table if it is missing. Raises StoreError, and ComponentError for another type
    of database."""
    from victor_dsl.storage.sqlite_file import SqliteFile

    database, table = context.live(config.database), config.table
    if not isinstance(database, SqliteFile):
        hint = "use type: postgres"
        raise ComponentError("writes into a database of type sqlite only", node=context.node, hint=hint)
    await database.transaction(partial(_prepare, table=table))
    columns, values = ", ".join(COLUMNS), ", ".join("?" for _ in COLUMNS)
    # The Config limits the table's name to letters, digits and underscores.
    insert = f'INSERT INTO "{table}" ({columns}) VALUES ({values}) ON CONFLICT (event_id) DO NOTHING'  # noqa: S608
    yield SqliteEvents(database, insert)


@frozen
class SqliteEvents:
    """Inserts events into the table; those that are there already stay as they are."""

    database: SqliteFile
    insert: str

    async def export(self, events: Sequence[Event]) -> None:
        rows = [event_row(event, rfc3339(event.timestamp)) for event in events]
        await self.database.transaction(lambda connection: connection.executemany(self.insert, rows))


def _prepare(connection: sqlite3.Connection, table: str) -> None:
    """Makes the table, or brings that of an earlier version up to date."""
    # The Config limits the table's name to letters, digits and underscores.
    connection.execute(TABLE.format(table=table))
    columns = {row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')}
    if columns == set(OLD_COLUMNS.split(", ")):
        new = f"{table}_with_users"
        connection.execute(TABLE.format(table=new))
        connection.execute(f'INSERT INTO "{new}" ({OLD_COLUMNS}) SELECT {OLD_COLUMNS} FROM "{table}"')  # noqa: S608
        connection.execute(f'DROP TABLE "{table}"')
        connection.execute(f'ALTER TABLE "{new}" RENAME TO "{table}"')
    connection.execute(INDEX.format(table=table))
