"""The role that runs turns: it can do all that they need, sees one tenant at a time, and cannot change that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.components.context import surroundings
from tests.components.middleware.harness import hashed
from tests.runtime.stage import Says, Stage
from tests.services import PASSWORD, PostgresServer
from tests.storage.test_migrations import TABLES
from victor_dsl.components.exporters import postgres as exporter
from victor_dsl.errors import StoreError
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.values.event import Event, uuid7
from victor_dsl.values.request import API_KEY, Request

SPEC = """
models: {main: {type: given, context_window: 9000}}
databases: {app: {type: postgres, dsn: "${env:DSN}"}}
providers: [{type: tenant, database: app, default: default}]
contributors: [{type: tenant, database: app, default: default, max_tokens: 500}]
middleware: [{type: auth, database: app}]
exporters: [{type: postgres, database: app}]
sessions: {type: postgres, database: app}
"""
KEY = "vk_of-acme-and-ann-0123456789"
ALL = ("tenant_configs", "tenant_prompt_templates", "sessions", "session_messages", "api_keys")


def quoted_name(role: str) -> str:
    return '"' + role.replace('"', '""') + '"'


@pytest.fixture
def role(postgres: PostgresServer, postgres_database: str) -> Iterator[str]:
    """A role without any rights in the test's database."""
    name = f'run "{postgres_database}"'
    quoted = quoted_name(name)
    postgres.sql(f"CREATE ROLE {quoted} LOGIN PASSWORD '{PASSWORD}'")
    yield name
    postgres.sql(f"DROP OWNED BY {quoted}", database=postgres_database)
    postgres.sql(f"DROP ROLE {quoted}")


async def prepared(dsn: str, role: str) -> None:
    """Creates tables with rows of the tenants a and b, and gives the role its rights."""
    async with PostgresPool(lambda: dsn, "databases/app") as owner:
        await migrate(owner, runtime_role=role)
        for tenant in ("a", "b"):
            rows = [f"INSERT INTO {table} {values.format(tenant=tenant)}" for table, values in TABLES.items()]
            await owner.for_tenant(tenant).execute([(row, ()) for row in rows])


def pool(postgres: PostgresServer, database: str, role: str) -> PostgresPool:
    dsn = postgres.dsn(database, quote(role))
    return PostgresPool(lambda: dsn, "databases/app")


async def test_recipe_6_it_sees_the_rows_of_one_tenant_and_never_those_of_all(
    postgres: PostgresServer, postgres_database: str, postgres_dsn: str, role: str
) -> None:
    await prepared(postgres_dsn, role)
    async with pool(postgres, postgres_database, role) as database:
        for table in ALL:
            count = f"SELECT tenant_id FROM {table}"
            assert await database.for_every_tenant().fetch(count) == [], table
            assert await database.fetch(count) == [], table
            assert await database.for_tenant("a").fetch(count) == [{"tenant_id": "a"}], table
        with pytest.raises(StoreError, match="permission denied"):
            await database.for_tenant("a").fetch("SELECT * FROM analytics_events")


@pytest.mark.parametrize(
    "statement",
    [
        *(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY" for table in TABLES),
        "ALTER TABLE sessions DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON sessions USING (true)",
        "ALTER POLICY victor_tenant ON sessions USING (true)",
        "DROP POLICY victor_tenant ON sessions",
        *(f"DROP TABLE {table}" for table in TABLES),
        "TRUNCATE sessions CASCADE",
        "DELETE FROM sessions",
        "UPDATE sessions SET tenant_id = 'a'",
        "UPDATE session_messages SET messages = '[]'",
        "INSERT INTO api_keys (key_hash, tenant_id) VALUES ('x', 'a')",
        "UPDATE tenant_configs SET config = '{}'",
        "DELETE FROM analytics_events",
        "INSERT INTO victor_migrations VALUES (7, 'mine')",
        "CREATE TABLE mine (a int)",
        "SET ROLE victor",
        "SET SESSION AUTHORIZATION victor",
    ],
)
async def test_it_cannot_change_what_it_may(
    statement: str, postgres: PostgresServer, postgres_database: str, postgres_dsn: str, role: str
) -> None:
    await prepared(postgres_dsn, role)
    async with pool(postgres, postgres_database, role) as database:
        with pytest.raises(StoreError, match=r"must be owner|permission denied"):
            await database.for_every_tenant().execute([(statement, ())])


async def test_it_finds_an_api_key_by_its_hash_alone(
    postgres: PostgresServer, postgres_database: str, postgres_dsn: str, role: str
) -> None:
    await prepared(postgres_dsn, role)
    async with pool(postgres, postgres_database, role) as database:
        assert await database.for_key("a").fetch("SELECT key_hash FROM api_keys") == [{"key_hash": "a"}]
        assert await database.for_key("").fetch("SELECT key_hash FROM api_keys") == []
        assert await database.for_tenant("\\ka").fetch("SELECT key_hash FROM api_keys") == []


async def test_turns_run_with_it(
    tmp_path: Path,
    postgres: PostgresServer,
    postgres_database: str,
    postgres_dsn: str,
    role: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
        await migrate(owner, runtime_role=role)
        config = {"vars": {"city": "Bern"}}
        await owner.for_tenant("acme").execute(
            [
                ("INSERT INTO tenant_configs VALUES ('acme', $1)", (config,)),
                ("INSERT INTO tenant_prompt_templates VALUES ('acme', 'You are in {{ city }}.')", ()),
                ("INSERT INTO api_keys VALUES ($1, 'acme', 'ann')", (hashed(KEY),)),
            ]
        )
        caplog.clear()
        model = Says(["Hi."])
        stage = Stage(tmp_path, {"models/main": model})
        dsn = postgres.dsn(postgres_database, quote(role))
        async with stage.orchestrator(SPEC, {"DSN": dsn}) as orchestrator:
            for text in ("one", "two"):
                answer = await orchestrator.answer(Request(message=text, session="s1", metadata={API_KEY: KEY}))
                assert answer.error is None, answer.error
        assert "row-level security" not in caplog.text
        assert [message.text() for message in model.turns[1].messages] == ["one", "Hi.", "two"]
        assert model.turns[1].system == "You are in Bern."
        turns = await owner.for_every_tenant().fetch("SELECT tenant_id FROM analytics_events WHERE event_type = 'turn'")
        assert turns == [{"tenant_id": "acme"}] * 2


async def test_events_are_exported_once_by_it_whatever_their_tenant(
    postgres: PostgresServer, postgres_database: str, postgres_dsn: str, role: str, tmp_path: Path
) -> None:
    await prepared(postgres_dsn, role)
    events = [Event(uuid7(1.0), "turn", 1.0, "s", tenant, "p", "d", {}, {}) for tenant in (None, "a", "b", "*")]
    async with pool(postgres, postgres_database, role) as database:
        context = surroundings(tmp_path, needs={"databases/app": database}).context
        async with exporter.build(exporter.Config(database="databases/app"), context) as live:
            await live.export(events)
            await live.export(events[::-1])
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
        counted = await owner.for_every_tenant().fetch(
            "SELECT count(*) AS n FROM analytics_events WHERE pipeline = 'p'"
        )
    assert counted[0]["n"] == 4 + 2


async def test_rights_that_it_has_beside_are_taken_away(
    postgres: PostgresServer, postgres_database: str, postgres_dsn: str, role: str
) -> None:
    await prepared(postgres_dsn, role)
    postgres.sql(f"GRANT ALL ON api_keys, sessions TO {quoted_name(role)}", database=postgres_database)
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
        assert await migrate(owner, runtime_role=role) == ()
    async with pool(postgres, postgres_database, role) as database:
        for statement in ("DELETE FROM api_keys", "DELETE FROM sessions"):
            with pytest.raises(StoreError, match="permission denied"):
                await database.execute([(statement, ())])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "there is no role 'nobody'"),
        ("postgres", "can become a superuser or a role with BYPASSRLS"),
        ("victor", "could switch row-level security off"),
    ],
)
async def test_a_role_that_is_not_bound_is_refused(name: str, message: str, postgres_dsn: str) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
        with pytest.raises(StoreError, match=message):
            await migrate(owner, runtime_role=name)
        assert await owner.fetch("SELECT to_regclass('sessions')::text AS name") == [{"name": None}]


async def test_a_member_of_the_owner_is_refused(
    postgres: PostgresServer, postgres_dsn: str, role: str, postgres_database: str
) -> None:
    postgres.sql(f"GRANT victor TO {quoted_name(role)}")
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
        with pytest.raises(StoreError, match="could switch row-level security off"):
            await migrate(owner, runtime_role=role)


@pytest.mark.parametrize("attributes", ["SUPERUSER", "BYPASSRLS"])
async def test_a_role_that_can_become_one_without_bounds_is_refused(
    postgres: PostgresServer, postgres_dsn: str, postgres_database: str, role: str, attributes: str
) -> None:
    boss = f'"boss {postgres_database}"'
    postgres.sql(f"CREATE ROLE {boss} {attributes} NOLOGIN; GRANT {boss} TO {quoted_name(role)}")
    try:
        async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
            with pytest.raises(StoreError, match="can become a superuser or a role with BYPASSRLS"):
                await migrate(owner, runtime_role=role)
    finally:
        postgres.sql(f"DROP ROLE {boss}")


@pytest.mark.parametrize("right", ["pg_read_server_files", "pg_execute_server_program"])
async def test_a_role_with_the_files_of_the_server_is_refused(
    postgres: PostgresServer, postgres_dsn: str, role: str, right: str
) -> None:
    postgres.sql(f"GRANT {right} TO {quoted_name(role)}")
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
        with pytest.raises(StoreError, match="can become a superuser"):
            await migrate(owner, runtime_role=role)


async def test_an_owner_that_runs_turns_is_warned_of_once(postgres_dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as owner:
        await migrate(owner)
        assert caplog.text == ""
        await asyncio.gather(*[owner.for_tenant("a").fetch("SELECT 1") for _ in range(5)])
    assert caplog.text.count("databases/app: the role in the dsn can switch row-level security off") == 1
