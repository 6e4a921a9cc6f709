"""Writes events into a PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from attrs import frozen

from victor_dsl.components.exporters._rows import COLUMNS, row_of
from victor_dsl.errors import ComponentError, StoreError
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.values.event import Event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TYPES = ("uuid", "text", "timestamptz", "text", "text", "text", "text", "text", "text")
"""How the columns are sent: JSON as its text, whatever the connection makes of jsonb."""
MIGRATE = "run 'victor db migrate SPEC'"


@frozen
class PostgresEvents:
    """An exporter into one table; an event that is there already is left as it is.

    A batch is one statement with one array for each column: as quick as COPY, and it may skip what is there.
    """

    database: SqlDatabase
    insert: str

    async def export(self, events: Sequence[Event]) -> None:
        in_order = sorted(events, key=lambda event: event.id)  # two writers of the same events wait, not deadlock
        rows = [row_of(event, EPOCH + timedelta(seconds=event.timestamp)) for event in in_order]
        await self.database.execute([(self.insert, [list(column) for column in zip(*rows, strict=True)])])


@asynccontextmanager
async def exporting(database: SqlDatabase, table: str, node: str) -> AsyncIterator[PostgresEvents]:
    """The exporter. Raises ComponentError where the table is not there, or lacks a column."""
    if database.dialect != "postgres":
        raise ComponentError("writes into a database of type postgres only", node=node, hint="there is type: sqlite")
    own = database.for_every_tenant()
    await _check(own, table, node)
    columns = ", ".join(COLUMNS)
    arrays = ", ".join(f"${number}::{type}[]" for number, type in enumerate(TYPES, 1))
    values = ", ".join(f"{c}::jsonb" if c in {"variants", "event_data"} else c for c in COLUMNS)
    # The table's name is held to letters, digits and underscores by the Config.
    insert = (
        f'INSERT INTO "{table}" ({columns}) SELECT {values} FROM unnest({arrays}) AS rows ({columns}) '  # noqa: S608
        "ON CONFLICT (event_id) DO NOTHING"
    )
    yield PostgresEvents(own, insert)


async def _check(database: SqlDatabase, table: str, node: str) -> None:
    """Raises ComponentError for a table that cannot be written to. A server that is away is waited for later."""
    sql = "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0"
    try:
        found = {row["name"] for row in await database.fetch(sql, f'"{table}"')}
    except StoreError as error:
        if error.transient:
            return
        raise
    if not found:
        raise ComponentError(f"there is no table '{table}'", node=node, hint=MIGRATE)
    if missing := [column for column in COLUMNS if column not in found]:
        raise ComponentError(f"the table '{table}' has no column {', '.join(missing)}", node=node, hint=MIGRATE)
