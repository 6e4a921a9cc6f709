"""The exporter that writes events into a PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

from attrs import frozen
from pydantic import Field

from victor_dsl.components.event_rows import COLUMNS, event_row
from victor_dsl.errors import ComponentError, StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, Ref
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.storage import migrate_command
from victor_dsl.values.event import Event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TYPES = ("uuid", "text", "timestamptz", "text", "text", "text", "text", "text", "text", "text")
"""The types in which the columns are sent. JSON is sent as text, whatever codec the connection has for jsonb."""


class Config(ExporterConfig):
    """Writes events into a table of a PostgreSQL database, which `victor db migrate` creates.

    Its columns are `event_id event_type timestamp session_id tenant_id user_id pipeline plan variants event_data`, of types UUID,
    timestamptz, JSONB for the last two, and text. A batch is one statement, written whole or not at all. An event that is
    exported again is not stored twice. NUL is stored as ␀, a lone surrogate as �, NaN as text.
    """

    database: Annotated[str, Ref("databases", ("postgres",))] = Field(
        description="A database of type `postgres`, by its name under `databases`.", examples=["app"]
    )
    table: str = Field("analytics_events", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$", description="The table's name.")


EXAMPLE = "{type: postgres, database: app, batch_size: 500}"


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[PostgresEvents]:
    """The exporter. Entering it raises ComponentError if the table or a column is missing."""
    database, table = context.live(config.database), config.table
    if getattr(database, "dialect", None) != "postgres":
        hint = "use type: sqlite"
        raise ComponentError("writes into a database of type postgres only", node=context.node, hint=hint)
    every_tenant = database.for_every_tenant()
    await _check(every_tenant, table, context.node, f"run '{migrate_command(config.database)}'")
    columns = ", ".join(COLUMNS)
    arrays = ", ".join(f"${number}::{type}[]" for number, type in enumerate(TYPES, 1))
    values = ", ".join(f"{c}::jsonb" if c in {"variants", "event_data"} else c for c in COLUMNS)
    # The Config limits the table's name to letters, digits and underscores.
    insert = (
        f'INSERT INTO "{table}" ({columns}) SELECT {values} FROM unnest({arrays}) AS rows ({columns}) '  # noqa: S608
        "ON CONFLICT DO NOTHING"  # with a column named, the role would have to be able to read all tenants' events
    )
    yield PostgresEvents(every_tenant, insert)


@frozen
class PostgresEvents:
    """Inserts events into the table; those that are there already stay as they are.

    A batch is one statement with an array for each column: as fast as COPY, and it can skip existing rows.
    """

    database: SqlDatabase
    insert: str

    async def export(self, events: Sequence[Event]) -> None:
        in_order = sorted(events, key=lambda event: event.id)  # two writers of the same events must not deadlock
        rows = [event_row(event, EPOCH + timedelta(seconds=event.timestamp)) for event in in_order]
        await self.database.execute([(self.insert, [list(column) for column in zip(*rows, strict=True)])])


async def _check(database: SqlDatabase, table: str, node: str, hint: str) -> None:
    """Raises ComponentError for a table that cannot be written to. If the server is away, the check is skipped."""
    sql = "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0"
    try:
        found = {row["name"] for row in await database.fetch(sql, f'"{table}"')}
    except StoreError as error:
        if error.transient:
            return
        raise
    if not found:
        raise ComponentError(f"there is no table '{table}'", node=node, hint=hint)
    if missing := [column for column in COLUMNS if column not in found]:
        raise ComponentError(f"the table '{table}' has no column {', '.join(missing)}", node=node, hint=hint)
