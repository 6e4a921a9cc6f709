"""Migrations: made once, by any number at once, whole, and with row-level security that holds for their owner."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.services import PostgresServer
from victor_dsl.errors import StoreError
from victor_dsl.storage.migrations import bypasses_row_security, migrate, migrations, pending
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.sqlite_file import SqliteFile

Database = PostgresPool | SqliteFile
TABLES = {
    "tenant_configs": "(tenant_id, config) VALUES ('{tenant}', '{{}}')",
    "tenant_prompt_templates": "(tenant_id, prompt_template) VALUES ('{tenant}', 'Hi.')",
    "sessions": "(session_key, tenant_id, session_id) VALUES ('{tenant}', '{tenant}', 's')",
    "session_messages": "(session_key, tenant_id, turn_id, messages) VALUES ('{tenant}', '{tenant}', 't', '[]')",
    "analytics_events": "(event_id, event_type, timestamp, session_id, tenant_id, pipeline, plan) "
    "VALUES (gen_random_uuid(), 'turn', now(), 's', '{tenant}', 'p', 'd')",
    "api_keys": "(key_hash, tenant_id) VALUES ('{tenant}', '{tenant}')",
}


def make(dialect: str, request: pytest.FixtureRequest, folder: Path) -> Database:
    if dialect == "sqlite":
        return SqliteFile(folder / "app.db")
    dsn: str = request.getfixturevalue("postgres_dsn")
    return PostgresPool(lambda: dsn, "databases/app")


@pytest.fixture(params=["postgres", "sqlite"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with make(request.param, request, tmp_path) as opened:
        yield opened


@pytest.fixture
async def postgres_pool(postgres_dsn: str) -> AsyncIterator[PostgresPool]:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as opened:
        yield opened


async def test_migrating_twice_applies_everything_once(database: Database) -> None:
    known = migrations(database.dialect)
    assert await pending(database) == known
    assert await migrate(database) == known
    assert await pending(database) == ()
    assert await migrate(database) == ()


@pytest.mark.parametrize("dialect", ["postgres", "sqlite"])
async def test_many_may_migrate_at_once(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        opened: list[Database] = [await stack.enter_async_context(make(dialect, request, tmp_path)) for _ in range(8)]
        done = await asyncio.gather(*[migrate(database) for database in opened])
    assert sorted(done) == [()] * 7 + [migrations(dialect)]


async def test_a_newer_database_is_left_alone(database: Database) -> None:
    await migrate(database)
    await database.execute([("INSERT INTO victor_migrations (number, name) VALUES (99, 'moon')", ())])
    for work in (migrate, pending):
        with pytest.raises(StoreError, match="by a newer version of victor: it has step 99"):
            await work(database)


async def test_a_step_that_fails_leaves_nothing_behind(postgres_pool: PostgresPool) -> None:
    await postgres_pool.execute([("CREATE TABLE session_messages (mine int)", ())])
    with pytest.raises(StoreError, match='"session_messages" already exists'):
        await migrate(postgres_pool)
    tables = await postgres_pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables == [{"tablename": "session_messages"}]


async def test_an_existing_table_of_tenants_keeps_its_rows(postgres_pool: PostgresPool) -> None:
    made = "CREATE TABLE tenant_configs (tenant_id varchar(255) PRIMARY KEY, config jsonb NOT NULL)"
    row = """INSERT INTO tenant_configs VALUES ('acme', '{"vars": {"a": 1}}')"""
    await postgres_pool.execute([(made, ()), (row, ())])
    await migrate(postgres_pool)
    rows = await postgres_pool.for_tenant("acme").fetch("SELECT config, active FROM tenant_configs")
    assert rows == [{"config": {"vars": {"a": 1}}, "active": True}]


@pytest.mark.parametrize("table", TABLES)
async def test_recipe_6_no_tenant_sees_or_writes_anothers_rows(table: str, postgres_pool: PostgresPool) -> None:
    await migrate(postgres_pool)
    for tenant in ("a", "b"):
        own = postgres_pool.for_tenant(tenant)
        if table == "session_messages":
            await own.execute([("INSERT INTO sessions " + TABLES["sessions"].format(tenant=tenant), ())])
        await own.execute([(f"INSERT INTO {table} " + TABLES[table].format(tenant=tenant), ())])
    count, remove = f"SELECT tenant_id FROM {table}", f"DELETE FROM {table}"
    assert await postgres_pool.fetch(count) == []
    assert await postgres_pool.for_tenant("*").fetch(count) == []
    assert await postgres_pool.for_tenant(None).fetch(count) == []
    assert await postgres_pool.for_tenant("a").fetch(count) == [{"tenant_id": "a"}]
    assert len(await postgres_pool.for_every_tenant().fetch(count)) == 2
    with pytest.raises(StoreError, match="row-level security"):
        await postgres_pool.for_tenant("a").execute([(f"UPDATE {table} SET tenant_id = 'b'", ())])
    await postgres_pool.for_tenant("a").execute([(remove, ())])
    await postgres_pool.execute([(remove, ())])
    assert await postgres_pool.for_every_tenant().fetch(count) == [{"tenant_id": "b"}]


async def test_an_event_without_a_tenant_is_visible_only_for_all_tenants(postgres_pool: PostgresPool) -> None:
    await migrate(postgres_pool)
    columns = "event_id, event_type, timestamp, session_id, tenant_id, pipeline, plan, variants, event_data"
    insert = (
        f"INSERT INTO analytics_events ({columns}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"
    )
    row: tuple[Any, ...] = (uuid.uuid4(), "turn", datetime.now(UTC), "s", None, "p", "d", {"tone": "warm"}, {"n": 1})
    everyone = postgres_pool.for_every_tenant()
    await everyone.execute([(insert, row), (insert, row)])
    assert await everyone.fetch("SELECT variants, event_data FROM analytics_events") == [
        {"variants": {"tone": "warm"}, "event_data": {"n": 1}}
    ]
    assert await postgres_pool.for_tenant("a").fetch("SELECT * FROM analytics_events") == []
    with pytest.raises(StoreError, match="row-level security"):
        await postgres_pool.for_tenant("a").execute([(insert, (uuid.uuid4(), *row[1:]))])


async def test_a_role_that_bypasses_row_security_is_noticed(
    postgres: PostgresServer, postgres_database: str, postgres_pool: PostgresPool, tmp_path: Path
) -> None:
    assert not await bypasses_row_security(postgres_pool)
    async with PostgresPool(lambda: postgres.dsn(postgres_database, "postgres"), "databases/app") as above:
        assert await bypasses_row_security(above)
    async with SqliteFile(tmp_path / "a.db") as file:
        assert not await bypasses_row_security(file)
