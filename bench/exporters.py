"""How many events a second the exporters store: `python -m bench.exporters`.

PostgreSQL, in a server of its own on loopback, with fsync off for all: victor's exporter, the usual way (`executemany` with
`ON CONFLICT DO NOTHING`, batches of 100) and plain COPY into a heap without an index, which is the ceiling. SQLite (WAL,
NORMAL): victor's exporter and a bare `executemany` of rows that were made before. All in interleaved rounds; median.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from uuid import UUID

import asyncpg

from bench.measure import machine, table
from tests.components.context import surroundings
from tests.services import PostgresServer
from victor_dsl.components.event_rows import COLUMNS, event_row
from victor_dsl.components.exporters import postgres as postgres_exporter
from victor_dsl.components.exporters import sqlite as sqlite_exporter
from victor_dsl.language.component import Context
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.event import Event, rfc3339, uuid7

TABLE = "analytics_events"
APP = "databases/app"
PLAN = "9f3c2ab81d4e5f60" * 4
USUAL = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb) "
    "ON CONFLICT (event_id) DO NOTHING"
)

Way = Callable[[Sequence[Event]], Awaitable[None]]


def events(count: int) -> list[Event]:
    """Turns as a pipeline makes them."""
    now = time.time()
    data = {"latency_ms": 812.5, "input_tokens": 950, "output_tokens": 180, "cost_usd": 0.00555, "model": "main"}
    about = {**data, "stop_reason": "stop", "values": PLAN[:16]}
    return [
        Event(uuid7(now), "turn", now, f"session-{n % 500}", "acme", "support", PLAN, {"tone": "warm"}, about)
        for n in range(count)
    ]


def batches(of: Sequence[Event], size: int) -> list[Sequence[Event]]:
    """The events in batches."""
    return [of[start : start + size] for start in range(0, len(of), size)]


async def rate(way: Way, count: int, size: int) -> float:
    """Events a second."""
    parts = batches(events(count), size)
    started = time.perf_counter()
    for part in parts:
        await way(part)
    return count / (time.perf_counter() - started)


@asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[tuple[PostgresPool, asyncpg.Connection]]:
    """A migrated database of a fresh server, as victor opens it and as a bare connection that sees all rows."""
    server = PostgresServer(folder)
    server.start()
    try:
        dsn = server.dsn(server.create())
        async with PostgresPool(lambda: dsn, "databases/bench") as pool:
            await migrate(pool)
            connection = await asyncpg.connect(dsn, server_settings={"victor.tenant": "*"})
            await connection.execute(f"CREATE UNLOGGED TABLE heap (LIKE {TABLE})")
            yield pool, connection
            await connection.close()
    finally:
        server.stop()


def usual(connection: asyncpg.Connection) -> Way:
    """`executemany`, one row for each event."""

    async def export(part: Sequence[Event]) -> None:
        rows = [
            (
                *(
                    UUID(e.id),
                    e.type,
                    datetime.fromtimestamp(e.timestamp, UTC),
                    e.session,
                    e.tenant,
                    e.user,
                    e.pipeline,
                    e.plan,
                ),
                *(json.dumps(e.variants), json.dumps(e.data)),
            )
            for e in part
        ]
        await connection.executemany(USUAL, rows)

    return export


def copy(connection: asyncpg.Connection) -> Way:
    """COPY into a heap."""

    async def export(part: Sequence[Event]) -> None:
        rows = [event_row(event, datetime.fromtimestamp(event.timestamp, UTC)) for event in part]
        await connection.copy_records_to_table("heap", records=rows, columns=COLUMNS)

    return export


def context(folder: Path, database: PostgresPool | SqliteFile) -> Context:
    """What an exporter is built with."""
    return surroundings(folder, "exporters/measured", needs={APP: database}).context


async def measure_postgres(folder: Path, count: int, rounds: int) -> list[list[str]]:
    """Rows of the table."""
    async with (
        postgres(folder) as (pool, connection),
        postgres_exporter.build(postgres_exporter.Config(database=APP), context(folder, pool)) as exporter,
    ):
        ways: dict[str, tuple[Way, int]] = {
            "PostgreSQL, executemany, batches of 100": (usual(connection), 100),
            **{
                f"PostgreSQL, victor, batches of {size:,}": (exporter.export, size)
                for size in (100, 500, 1_000, 10_000)
            },
            "PostgreSQL, COPY into a bare heap, 10,000": (copy(connection), 10_000),
        }
        return await compare(ways, count, rounds, connection)


async def measure_sqlite(folder: Path, count: int, rounds: int) -> list[list[str]]:
    """Rows of the table."""
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = NORMAL")
    bare.execute(sqlite_exporter.TABLE.format(table=TABLE))
    bare.execute(sqlite_exporter.INDEX.format(table=TABLE))
    insert = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join('?' for _ in COLUMNS)})"

    async def plain(part: Sequence[Event]) -> None:
        rows = [event_row(event, rfc3339(event.timestamp)) for event in part]
        bare.execute("BEGIN IMMEDIATE")
        bare.executemany(insert, rows)
        bare.execute("COMMIT")

    async with (
        SqliteFile(folder / "victor.db") as file,
        sqlite_exporter.build(sqlite_exporter.Config(database=APP), context(folder, file)) as exporter,
    ):
        ways: dict[str, tuple[Way, int]] = {
            "SQLite, bare executemany, batches of 1,000": (plain, 1_000),
            "SQLite, victor, batches of 1,000": (exporter.export, 1_000),
        }
        found = await compare(ways, count, rounds, None)
    bare.close()
    return found


async def compare(
    ways: dict[str, tuple[Way, int]], count: int, rounds: int, connection: asyncpg.Connection | None
) -> list[list[str]]:
    """Each way's median rate and its share of the first's. Tables are empty at the start of each."""
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, size) in ways.items():
            if connection is not None:
                await connection.execute(f"TRUNCATE {TABLE}, heap")
            measured[name].append(await rate(way, count, size))
    first = median(next(iter(measured.values())))
    return [[name, f"{median(rates):,.0f}", f"{median(rates) / first:.2f}"] for name, rates in measured.items()]


async def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    places = [Path(tempfile.mkdtemp(prefix="victor-bench-")) for _ in range(2)]
    try:
        rows = await measure_postgres(places[0], options.events, options.rounds)
        rows += await measure_sqlite(places[1], options.events, options.rounds)
    finally:
        for place in places:
            shutil.rmtree(place)
    print(machine("asyncpg"))
    print(table(["way", "events/s", "of the first"], rows))


if __name__ == "__main__":
    asyncio.run(main())
