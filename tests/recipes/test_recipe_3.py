"""Job 3, analytics to a database: from a spec to rows, and the faults that a naive implementation has.

Rows, types and repeats: `tests/components/exporters`; queues and dead letters: `tests/runtime/test_delivery.py`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import asyncpg
import pytest

import victor_dsl
from tests.services import PostgresServer
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.values.event import Event, rfc3339, uuid7
from victor_dsl.values.request import Request

SPEC = """
victor: 1
name: support
models: {main: echo}
databases:
  app: {type: sqlite, path: app.db}
  store: {type: postgres, dsn: "${env:DATABASE_URL}", connect_timeout_seconds: 1}
exporters:
  - {type: sqlite, database: app, flush_seconds: 0.05}
  - {type: postgres, database: store, flush_seconds: 0.05, batch_size: 50}
"""


def write(folder: Path, spec: str = SPEC) -> Path:
    path = folder / "victor.yml"
    path.write_text(spec, encoding="utf-8")
    return path


async def stored(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn, server_settings={"victor.tenant": "*"})
    rows = await connection.fetch("SELECT event_id FROM analytics_events")
    await connection.close()
    return sorted(str(row["event_id"]) for row in rows)


def in_sqlite(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "app.db")
    rows = connection.execute("SELECT event_id FROM analytics_events").fetchall()
    connection.close()
    return sorted(id for (id,) in rows)


def events(count: int) -> list[Event]:
    now = datetime.now(UTC).timestamp()
    return [Event(uuid7(now), "feedback", now, "s", None, "support", "", {}, {"n": n}) for n in range(count)]


async def test_recipe_3_a_run_s_events_are_in_both_databases_each_once(tmp_path: Path, migrated_dsn: str) -> None:
    async with victor_dsl.open(write(tmp_path), env={"DATABASE_URL": migrated_dsn}) as orchestrator:
        answers = [orchestrator.answer(Request(message=f"hello {n}", session=f"s{n}")) for n in range(20)]
        assert all(answer.error is None for answer in await asyncio.gather(*answers))
    assert len(in_sqlite(tmp_path)) == 3 * 20  # a turn, its model call, its tokens
    assert await stored(migrated_dsn) == in_sqlite(tmp_path)


async def test_recipe_3_an_immediate_close_stores_all_5000_queued_events(tmp_path: Path, migrated_dsn: str) -> None:
    queued = events(5_000)
    async with victor_dsl.open(write(tmp_path), env={"DATABASE_URL": migrated_dsn}) as orchestrator:
        for event in queued:
            orchestrator._delivery.put(event)
    wanted = sorted(event.id for event in queued)
    assert await stored(migrated_dsn) == wanted
    assert in_sqlite(tmp_path) == wanted


async def test_recipe_3_a_database_that_dies_and_returns_has_each_event_once(
    tmp_path: Path, migrated_dsn: str, postgres: PostgresServer
) -> None:
    async def ask(orchestrator: Orchestrator, name: str) -> None:
        for number in range(10):
            assert (await orchestrator.answer(Request(message="hi", session=f"{name}{number}"))).error is None

    async with victor_dsl.open(write(tmp_path), env={"DATABASE_URL": migrated_dsn}) as orchestrator:
        await ask(orchestrator, "before")
        postgres.stop()
        await ask(orchestrator, "while")  # no turn waits for the database, and none fails
        (_, queue) = orchestrator._delivery.queues
        while queue.fault is None:
            await asyncio.sleep(0)
        postgres.start()
        await ask(orchestrator, "after")
        while queue.waiting:
            await asyncio.sleep(0)
    found = await stored(migrated_dsn)
    assert len(set(found)) == len(found)
    assert found == in_sqlite(tmp_path)


async def test_recipe_3_what_cannot_be_stored_before_the_end_is_stored_at_the_next_start(
    tmp_path: Path, migrated_dsn: str, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    spec, environment = write(tmp_path), {"DATABASE_URL": migrated_dsn}
    async with victor_dsl.open(spec, env=environment) as orchestrator:
        postgres.stop()
        assert (await orchestrator.answer(Request(message="hi", session="s"))).error is None
    assert "exporters/postgres: events not delivered yet" in caplog.text
    before = in_sqlite(tmp_path)
    assert len(before) >= 3  # the other exporter did not wait
    postgres.start()
    async with victor_dsl.open(spec, env=environment) as orchestrator:
        assert (await orchestrator.answer(Request(message="hi", session="s"))).error is None
    found = await stored(migrated_dsn)
    assert set(found) == set(in_sqlite(tmp_path)) > set(before)
    assert len(set(found)) == len(found)
    assert not list((tmp_path / ".victor" / "journal").glob("*/*"))


async def test_recipe_3_the_migration_can_be_run_again_and_again_and_by_many_at_once(postgres_dsn: str) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        applied = await asyncio.gather(*(migrate(database) for _ in range(4)))
        assert sorted(map(bool, applied)) == [False, False, False, True]
        assert await migrate(database) == ()


@pytest.mark.parametrize(
    "written",
    ["2026-01-31T12:00:00.000001+00:00", "2026-01-31T17:30:00.000001+05:30", "2026-01-31T12:00:00.000001Z"],
)
def test_recipe_3_a_time_of_any_zone_is_told_in_utc_to_the_microsecond(written: str) -> None:
    assert rfc3339(datetime.fromisoformat(written).timestamp()) == "2026-01-31T12:00:00.000001Z"
    aware = datetime(2026, 1, 31, 17, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert rfc3339(aware.timestamp()) == "2026-01-31T12:00:00.000001Z"
