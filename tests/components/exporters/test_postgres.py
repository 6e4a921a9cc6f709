"""Events in PostgreSQL: each once, as real types, whatever came with it, and a server that goes and returns."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from tests.components.context import surroundings
from tests.services import PostgresServer
from victor_dsl.components.exporters import postgres as exporters_postgres
from victor_dsl.errors import ComponentError, StoreError
from victor_dsl.language.kinds import Exporter
from victor_dsl.runtime.delivery.storing import store
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.values.event import Event, uuid7

NOW = 1_700_000_000.123456


def event(**data: Any) -> Event:
    return Event(uuid7(NOW), "turn", NOW, "s1", "acme", "support", "abc", {"tone": "warm"}, data)


@asynccontextmanager
async def exporter_to(dsn: str, folder: Path, **config: Any) -> AsyncIterator[tuple[Exporter, PostgresPool]]:
    made = exporters_postgres.Config.model_validate({"database": "databases/app", **config})
    async with PostgresPool(lambda: dsn, "databases/app") as database:
        around = surroundings(folder, "exporters/postgres", needs={"databases/app": database})
        async with exporters_postgres.build(made, around.context) as exporter:
            yield exporter, database


async def rows(database: PostgresPool) -> list[dict[str, Any]]:
    found = await database.for_every_tenant().fetch("SELECT * FROM analytics_events ORDER BY event_id")
    return [dict(row) for row in found]


async def test_recipe_3_a_row_has_real_types_and_the_time_in_utc(migrated_dsn: str, tmp_path: Path) -> None:
    one = event(latency_ms=1.5, cost_usd=None)
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        await exporter.export([one, evolve(one, id=uuid7(NOW + 1), tenant=None)])
        first, second = await rows(database)
        (found,) = await database.for_every_tenant().fetch(
            "SELECT count(*) AS n FROM analytics_events WHERE event_data @> $1 AND timestamp < now() AND tenant_id IS NULL",
            {"latency_ms": 1.5},
        )
    assert str(first.pop("event_id")) == one.id
    assert first == {
        "event_type": "turn",
        "timestamp": datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC),
        "session_id": "s1",
        "tenant_id": "acme",
        "user_id": None,
        "pipeline": "support",
        "plan": "abc",
        "variants": {"tone": "warm"},
        "event_data": {"latency_ms": 1.5, "cost_usd": None},
    }
    assert second["tenant_id"] is None
    assert found["n"] == 1


async def test_recipe_3_five_events_of_one_millisecond_are_five_and_a_repeat_is_harmless(
    migrated_dsn: str, tmp_path: Path
) -> None:
    five = [event(number=number) for number in range(5)]
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        await exporter.export(five)
        await exporter.export(five[2:])
        await exporter.export([*five, *five])
        assert sorted(row["event_data"]["number"] for row in await rows(database)) == [0, 1, 2, 3, 4]


async def test_values_that_postgresql_cannot_represent_are_replaced(migrated_dsn: str, tmp_path: Path) -> None:
    data = {"nul": "a\0b", "lone": "a\ud800b", "numbers": [math.nan, math.inf, 2**70], "k\0": {"x": ["\0"]}}
    odd = evolve(event(**data), session="s\0\udfff", tenant="t\0")
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        await exporter.export([odd])
        (row,) = await rows(database)
    assert (row["session_id"], row["tenant_id"]) == ("s␀�", "t\\u0000")
    assert row["event_data"] == {
        "nul": "a␀b",
        "lone": "a�b",
        "numbers": ["NaN", "Infinity", 2**70],
        "k␀": {"x": ["␀"]},
    }


async def test_recipe_3_a_poison_row_in_any_position_is_found_and_the_rest_stored(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        for at in range(9):
            batch = [event(number=number) for number in range(9)]
            batch[at] = evolve(batch[at], id="no uuid")
            (refusal,) = await store(exporter, batch)
            assert refusal.event is batch[at]
            assert "uuid" in refusal.reason.lower()
        assert len(await rows(database)) == 9 * 8


async def test_data_of_10_mb_and_200_levels_are_stored(migrated_dsn: str, tmp_path: Path) -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        await exporter.export([event(text="x" * 10_000_000), event(deep=deep)])
        assert len(await rows(database)) == 2


async def test_a_server_that_is_away_is_a_transient_error_until_its_return(
    postgres: PostgresServer, migrated_dsn: str, tmp_path: Path
) -> None:
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        await exporter.export([event()])
        postgres.stop()
        with pytest.raises(StoreError) as caught:
            await exporter.export([event()])
        assert caught.value.transient
        postgres.start()
        await exporter.export([event()])
        assert len(await rows(database)) == 2


async def test_recipe_3_many_writers_at_once_race_for_the_pool_and_store_each_event_once(
    migrated_dsn: str, tmp_path: Path
) -> None:
    events = [event(number=number) for number in range(200)]
    random = Random(3)
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        await asyncio.gather(*(exporter.export(random.sample(events, 150)) for _ in range(40)))
        assert {row["event_data"]["number"] for row in await rows(database)} == set(range(200))
        assert len(await rows(database)) == 200


async def test_recipe_3_without_its_table_it_does_not_start_and_says_what_to_run(
    postgres_dsn: str, tmp_path: Path
) -> None:
    with pytest.raises(
        ComponentError, match=r"no table 'analytics_events' \(run 'victor db migrate SPEC --database app'\)"
    ):
        async with exporter_to(postgres_dsn, tmp_path):
            pass


async def test_a_table_without_a_column_is_named_with_it(postgres_dsn: str, tmp_path: Path) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        await database.execute([("CREATE TABLE events (event_id uuid PRIMARY KEY, event_type text)", ())])
    with pytest.raises(ComponentError, match="the table 'events' has no column timestamp, session_id"):
        async with exporter_to(postgres_dsn, tmp_path, table="events"):
            pass


async def test_another_database_is_refused(tmp_path: Path) -> None:
    class Redis:
        dialect = "redis"

    around = surroundings(tmp_path, "exporters/postgres", needs={"databases/app": Redis()})
    with pytest.raises(ComponentError, match="type postgres only"):
        async with exporters_postgres.build(exporters_postgres.Config(database="databases/app"), around.context):
            pass


async def test_recipe_6_each_tenant_reads_its_own_events_whatever_its_name(migrated_dsn: str, tmp_path: Path) -> None:
    tenants = ["acme", "a\0b", "a␀b", "*", "\\u0000", "é\ud800"]
    async with exporter_to(migrated_dsn, tmp_path) as (exporter, database):
        await exporter.export([evolve(event(), id=uuid7(NOW + n), tenant=tenant) for n, tenant in enumerate(tenants)])
        for tenant in tenants:
            assert len(await database.for_tenant(tenant).fetch("SELECT * FROM analytics_events")) == 1, ascii(tenant)
