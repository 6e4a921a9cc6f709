"""The PostgreSQL database: rows, transactions, tenants, and a server that dies and returns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.context import surroundings
from tests.services import PASSWORD, PostgresServer
from victor_dsl.components.databases import postgres as databases_postgres
from victor_dsl.errors import StoreError
from victor_dsl.language.config import Secret
from victor_dsl.storage.postgres_pool import PostgresPool

NOTES = """
CREATE TABLE notes (tenant_id text, note text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
ALTER TABLE notes FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON notes USING (current_setting('victor.tenant', true) IN (tenant_id, '*'))
"""


@asynccontextmanager
async def opened(dsn: str, folder: Path, **config: Any) -> AsyncIterator[PostgresPool]:
    context = surroundings(folder, "databases/app", environment={"DSN": dsn}).context
    built = databases_postgres.build(databases_postgres.Config(dsn=Secret("env", "DSN"), **config), context)
    async with built as live:
        assert isinstance(live, PostgresPool)
        yield live


@pytest.fixture
async def database(postgres_dsn: str, tmp_path: Path) -> AsyncIterator[PostgresPool]:
    async with opened(postgres_dsn, tmp_path) as live:
        yield live


async def test_jsonb_goes_in_and_comes_back_as_python_values(database: PostgresPool) -> None:
    value = {"a": [1, 2.5, None, True, {"é": "\n"}]}
    await database.execute([("CREATE TABLE kept (v jsonb)", ()), ("INSERT INTO kept VALUES ($1)", (value,))])
    assert await database.fetch("SELECT v FROM kept WHERE v = $1", value) == [{"v": value}]


async def test_a_transaction_is_whole_or_not_at_all(database: PostgresPool) -> None:
    await database.execute([("CREATE TABLE kept (v int UNIQUE)", ())])
    with pytest.raises(StoreError, match="databases/app: duplicate key value"):
        await database.execute([("INSERT INTO kept VALUES ($1)", (1,)), ("INSERT INTO kept VALUES ($1)", (1,))])
    assert await database.fetch("SELECT * FROM kept") == []


async def test_a_tenant_sees_its_own_rows_and_no_call_leaves_its_tenant_to_the_next(
    database: PostgresPool,
) -> None:
    for statement in NOTES.split(";"):
        await database.execute([(statement, ())])
    tenants = ["acme", "'; DROP TABLE notes; --", "*", "", None, "a\0b", "é\ud800", "x" * 10_000, "\\*", "\\-"]
    for tenant in tenants:
        view = database.for_tenant(tenant)
        await view.execute([("INSERT INTO notes VALUES (current_setting('victor.tenant'), $1)", (ascii(tenant)[:50],))])
    for tenant in tenants:
        rows = await database.for_tenant(tenant).fetch("SELECT note FROM notes")
        assert rows == [{"note": ascii(tenant)[:50]}]
        assert await database.fetch("SELECT * FROM notes") == [], "without a tenant there is nothing to see"
    assert len(await database.for_every_tenant().fetch("SELECT * FROM notes")) == len(tenants)
    with pytest.raises(StoreError, match="violates row-level security"):
        await database.for_tenant("acme").execute([("INSERT INTO notes VALUES ('other', '')", ())])


async def test_concurrent_statements_share_one_pool(postgres_dsn: str, tmp_path: Path) -> None:
    async with opened(postgres_dsn, tmp_path, max_connections=3) as database:
        rows = await asyncio.gather(*[database.fetch("SELECT pg_backend_pid() AS pid") for _ in range(30)])
    assert len({row[0]["pid"] for row in rows}) <= 3


async def test_recipe_6_a_database_that_dies_fails_what_needs_it_and_is_found_when_it_returns(
    database: PostgresPool, postgres: PostgresServer
) -> None:
    await asyncio.gather(*[database.fetch("SELECT 1") for _ in range(5)])
    postgres.stop()
    for _ in range(3):
        with pytest.raises(StoreError, match=r"cannot reach PostgreSQL at 127\.0\.0\.1:\d+/\w+") as told:
            await database.fetch("SELECT 1")
        assert told.value.transient
        assert PASSWORD not in str(told.value)
    postgres.start()
    assert await asyncio.gather(*[database.fetch("SELECT 1 AS one") for _ in range(8)]) == [[{"one": 1}]] * 8


async def test_connections_closed_while_idle_are_replaced(database: PostgresPool, postgres: PostgresServer) -> None:
    await database.execute([("CREATE TABLE kept (v int)", ())])
    await asyncio.gather(*[database.fetch("SELECT 1") for _ in range(5)])
    postgres.stop()
    postgres.start()  # the loop has not turned: all connections look alive
    await database.execute([("INSERT INTO kept VALUES (1)", ())])
    assert await database.fetch("SELECT v FROM kept") == [{"v": 1}]


async def test_an_interrupted_statement_is_an_error_and_is_not_retried(
    database: PostgresPool, postgres: PostgresServer
) -> None:
    await database.execute([("CREATE TABLE kept (v int)", ())])
    statements = [("INSERT INTO kept VALUES (1)", ()), ("SELECT pg_sleep(60)", ())]
    task = asyncio.create_task(database.execute(statements))
    busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    while (await database.fetch(busy))[0]["count"] == 0:  # until it is on its way
        pass
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'")
    with pytest.raises(StoreError, match="terminating connection"):
        await task
    assert await database.fetch("SELECT v FROM kept") == []


async def test_a_cancelled_statement_gives_its_connection_back_and_undoes_its_work(
    postgres_dsn: str, tmp_path: Path
) -> None:
    async with opened(postgres_dsn, tmp_path, max_connections=1) as database:
        await database.execute([("CREATE TABLE kept (v int)", ())])
        for steps in range(12):
            work = database.execute([("INSERT INTO kept VALUES (1)", ()), ("SELECT pg_sleep(60)", ())])
            task = asyncio.create_task(work)
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await database.fetch("SELECT v FROM kept") == []


async def test_a_slow_statement_is_reported_as_a_timeout(postgres_dsn: str, tmp_path: Path) -> None:
    async with opened(postgres_dsn, tmp_path, statement_timeout_seconds=0.05) as database:
        with pytest.raises(StoreError, match="did not answer in time"):
            await database.fetch("SELECT pg_sleep(60)")
        assert await database.fetch("SELECT 1 AS one") == [{"one": 1}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda dsn: dsn.replace(PASSWORD, "wrong-" + PASSWORD),
            "password authentication failed.*check the user and password in the dsn",
        ),
        (lambda dsn: dsn + "_not", 'database "test_.*_not" does not exist.*check the database in the dsn'),
        (lambda dsn: dsn.replace("postgresql:", "mysql:"), "not a PostgreSQL dsn"),
        (lambda dsn: PASSWORD, "not a PostgreSQL dsn"),
        (lambda dsn: dsn.replace("@127", "@[127"), "not a PostgreSQL dsn"),
    ],
    ids=["password", "database", "scheme", "no dsn", "address"],
)
async def test_a_wrong_dsn_is_reported_without_its_password(
    change: Any, message: str, postgres_dsn: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=message) as told:
        async with opened(change(postgres_dsn), tmp_path) as database:
            await database.fetch("SELECT 1")
    assert PASSWORD not in str(told.value)


async def test_a_missing_table_is_reported_with_the_command_that_creates_it(database: PostgresPool) -> None:
    with pytest.raises(StoreError, match="victor db migrate"):
        await database.fetch("SELECT * FROM tenant_configs")


async def test_a_closed_database_is_an_error(postgres_dsn: str, tmp_path: Path) -> None:
    async with opened(postgres_dsn, tmp_path) as database:
        pass
    with pytest.raises(StoreError, match="the database is closed"):
        await database.fetch("SELECT 1")
