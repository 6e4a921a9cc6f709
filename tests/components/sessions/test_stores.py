"""What every session store does, for all that there are; and what each does by itself."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGQUIT
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.components.context import surroundings
from tests.services import PostgresServer, RedisServer
from victor_dsl.components.databases import sqlite as databases_sqlite
from victor_dsl.components.sessions import memory, redis, sqlite
from victor_dsl.components.sessions import postgres as postgres_sessions
from victor_dsl.components.stored_turns import messages_to_text, session_key
from victor_dsl.errors import StoreError
from victor_dsl.language.kinds import SessionStore
from victor_dsl.storage.migrations import LEDGER, RECORD, migrate, migrations
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.redis_client import RedisClient
from victor_dsl.values.message import Message, ToolCall

HELLO = (Message("user", "Hello!"), Message("assistant", "Hi."))
EVERYTHING = (
    Message(
        "user", ({"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:,"}}), name="ann"
    ),
    Message("assistant", None, (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c1", "g", "not json"))),
    Message("tool", "", tool_call_id="c1", name="f"),
    Message("assistant", "a\0b\ud800", pinned=True),
    Message("system", ({"type": "text", "text": "x", "n": 2**70, "deep": [{"a": None}]},)),
)


@pytest.fixture
async def postgres_pool(postgres_dsn: str) -> AsyncIterator[PostgresPool]:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        await migrate(database)
        yield database


@pytest.fixture
async def redis_client(redis_url: str) -> AsyncIterator[RedisClient]:
    async with RedisClient(lambda: redis_url, "databases/app", most=10, timeout_s=5) as client:
        yield client


@pytest.fixture(params=["memory", "sqlite by path", "sqlite by database", "postgres", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    path = str(tmp_path / "sessions.db")
    match request.param:
        case "memory":
            yield memory.build(memory.Config(), surroundings(tmp_path).context)
        case "postgres":
            dsn = request.getfixturevalue("postgres_dsn")
            async with PostgresPool(lambda: dsn, "databases/app") as pool:
                await migrate(pool)
                context = surroundings(tmp_path, needs={"databases/app": pool}).context
                yield postgres_sessions.build(postgres_sessions.Config(database="databases/app"), context)
        case "redis":
            url = request.getfixturevalue("redis_url")
            async with RedisClient(lambda: url, "databases/app", most=10, timeout_s=5) as client:
                context = surroundings(tmp_path, needs={"databases/app": client}).context
                yield redis.build(redis.Config(database="databases/app", ttl_seconds=600), context)
        case "sqlite by path":
            async with sqlite.build(sqlite.Config(path=path), surroundings(tmp_path).context) as opened:
                yield opened
        case _:
            database = databases_sqlite.build(databases_sqlite.Config(path=path), surroundings(tmp_path).context)
            async with database as live:
                context = surroundings(tmp_path, needs={"databases/app": live}).context
                async with sqlite.build(sqlite.Config(database="databases/app"), context) as opened:
                    yield opened


async def test_a_new_session_is_empty(store: SessionStore) -> None:
    assert await store.load(None, "s1") == ()


async def test_messages_come_back_whole_and_in_order(store: SessionStore) -> None:
    await store.append("acme", "s1", "t1", HELLO)
    await store.append("acme", "s1", "t2", EVERYTHING)
    assert await store.load("acme", "s1") == HELLO + EVERYTHING


async def test_a_turn_that_was_appended_before_changes_nothing(store: SessionStore) -> None:
    await store.append(None, "s1", "t1", HELLO)
    await store.append(None, "s1", "t2", HELLO[:1])
    await asyncio.gather(*[store.append(None, "s1", "t1", EVERYTHING) for _ in range(5)])
    assert await store.load(None, "s1") == HELLO + HELLO[:1]


async def test_a_retried_turn_sees_the_history_before_it(store: SessionStore) -> None:
    await store.append(None, "s1", "t1", HELLO)
    await store.append(None, "s1", "t2", EVERYTHING)
    assert await store.load(None, "s1", "t2") == HELLO
    assert await store.load(None, "s1", "t1") == ()
    assert await store.load(None, "s1", "t3") == HELLO + EVERYTHING


ANY_ID = st.text(st.characters(exclude_categories=[]), max_size=3)


@given(keys=st.sets(st.tuples(st.none() | st.text(max_size=3), st.none() | ANY_ID, ANY_ID), min_size=2))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_session_sees_another(keys: set[tuple[str | None, str | None, str]], store: SessionStore) -> None:
    for number, (tenant, user, session) in enumerate(keys):
        message = Message("user", f"{number} of {tenant!r}/{user!r}/{session!r}")
        await store.append(tenant, session, "t", (message,), user=user)
    loaded = {key: await store.load(key[0], key[2], user=key[1]) for key in keys}
    assert all(len(messages) == 1 for messages in loaded.values())
    assert len({messages[0].content for messages in loaded.values()}) == len(keys)


@pytest.mark.parametrize("others", [("acme", '["acme", "ann"]'), ('["acme"', ' "ann"]'), ('"acme"', "null")])
async def test_no_id_looks_like_a_tenant_and_a_user(store: SessionStore, others: tuple[str, str]) -> None:
    await store.append("acme", "s1", "t1", HELLO, user="ann")
    for tenant in (None, *others):
        assert await store.load(tenant, "s1") == ()
        assert await store.load(tenant, "s1", user="ann") == ((), HELLO)[tenant == "acme"]


async def test_a_session_without_a_user_keeps_the_key_that_it_always_had(tmp_path: Path) -> None:
    assert session_key("acme", "s1").hex()[:16] == "6212fc8e1547d47d"
    context = surroundings(tmp_path).context
    async with sqlite.build(sqlite.Config(), context) as store:
        await store.append("acme", "s1", "t1", HELLO)
        rows = await store.database.fetch("SELECT tenant, session FROM victor_turns")
    assert rows == [{"tenant": '"acme"', "session": '"s1"'}]


@pytest.mark.parametrize("name", ["", "'; DROP TABLE victor_turns; --", "a\0b", "é\ud800", "x" * 10_000, "null"])
async def test_ids_may_be_any_text(store: SessionStore, name: str) -> None:
    tenants = {None, "", name}
    for tenant in tenants:
        await store.append(tenant, name, "t", (Message("user", repr(tenant)),))
    for tenant in tenants:
        assert await store.load(tenant, name) == (Message("user", repr(tenant)),)


async def test_histories_from_before_sessions_had_users_stay_readable(postgres_dsn: str, tmp_path: Path) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as pool:
        await pool.execute([(LEDGER, ())])
        for step in migrations("postgres")[:4]:
            async with pool.transaction() as connection:
                await connection.execute(step.sql)
                await connection.execute(RECORD, step.number, step.name)
        key = session_key("acme", "s1")
        await pool.for_tenant("acme").execute(
            [
                ("INSERT INTO sessions (session_key, tenant_id, session_id) VALUES ($1, 'acme', 's1')", (key,)),
                (postgres_sessions.APPEND, (key, "acme", "t1", messages_to_text(HELLO))),
            ]
        )
        assert [step.number for step in await migrate(pool)] == [5, 6, 7]
        context = surroundings(tmp_path, needs={"databases/app": pool}).context
        store = postgres_sessions.build(postgres_sessions.Config(database="databases/app"), context)
        await store.append("acme", "s1", "t2", HELLO)
        assert await store.load("acme", "s1") == HELLO + HELLO
        assert await store.load("acme", "s1", user="ann") == ()


async def test_memory_removes_the_least_recently_used_session(tmp_path: Path) -> None:
    store = memory.build(memory.Config(max_sessions=2), surroundings(tmp_path).context)
    await store.append(None, "a", "t", HELLO)
    await store.append(None, "b", "t", HELLO)
    await store.load(None, "a")
    await store.append(None, "c", "t", HELLO)
    assert [await store.load(None, name) for name in "abc"] == [HELLO, (), HELLO]


async def test_memory_removes_whole_turns_oldest_first_and_keeps_the_newest(tmp_path: Path) -> None:
    store = memory.build(memory.Config(max_messages=3), surroundings(tmp_path).context)
    await store.append(None, "a", "t1", HELLO)
    await store.append(None, "a", "t2", HELLO[:1])
    assert await store.load(None, "a") == HELLO + HELLO[:1]
    await store.append(None, "a", "t3", HELLO[1:])
    assert await store.load(None, "a") == HELLO
    await store.append(None, "a", "t4", EVERYTHING)
    assert await store.load(None, "a") == EVERYTHING


async def test_sqlite_keeps_histories_for_the_next_process(tmp_path: Path) -> None:
    context = surroundings(tmp_path).context
    async with sqlite.build(sqlite.Config(), context) as store:
        await store.append("acme", "s1", "t1", EVERYTHING)
    assert (tmp_path / ".victor" / "sessions.db").exists()
    async with sqlite.build(sqlite.Config(), context) as store:
        await store.append("acme", "s1", "t1", HELLO)
        assert await store.load("acme", "s1") == EVERYTHING


async def test_unreadable_rows_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with sqlite.build(sqlite.Config(path=str(path)), surroundings(tmp_path).context) as store:
        for text in ("not json", "[1]", "[{}]", "7"):
            with sqlite3.connect(path) as other:
                other.execute("DELETE FROM victor_turns")
                other.execute("INSERT INTO victor_turns VALUES (1, 'null', '\"s1\"', 't', ?)", (text,))
            other.close()
            with pytest.raises(StoreError, match=r"the history of session \"s1\" cannot be read \(its rows .*s\.db"):
                await store.load(None, "s1")


def test_a_path_and_a_database_together_are_a_fault_of_the_spec() -> None:
    with pytest.raises(ValueError, match="either 'path' or 'database'"):
        sqlite.Config(path="a.db", database="app")


async def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    context = surroundings(tmp_path, "sessions/sqlite", needs={"databases/app": object()}).context
    with pytest.raises(StoreError, match="sessions/sqlite: stores sessions in a database of type sqlite only"):
        await sqlite.build(sqlite.Config(database="databases/app"), context).__aenter__()


@pytest.mark.parametrize("component", [postgres_sessions, redis])
def test_a_database_of_another_type_is_refused(component: ModuleType, tmp_path: Path) -> None:
    context = surroundings(tmp_path, "sessions/store", needs={"databases/app": object()}).context
    with pytest.raises(
        StoreError, match=r"sessions/store: stores sessions in a database of type (postgres|redis) only"
    ):
        component.build(component.Config(database="databases/app"), context)


async def test_concurrent_turns_of_a_session_are_each_stored_once(store: SessionStore) -> None:
    turns = [(Message("user", f"{number}"),) for number in range(20)]
    await asyncio.gather(*[store.append("a", "s", f"t{n}", turn) for n, turn in enumerate(turns) for _ in range(2)])
    history = await store.load("a", "s")
    assert sorted(history, key=lambda message: int(message.text())) == [turn[0] for turn in turns]
    assert await store.load("a", "s") == history


async def test_postgres_keeps_a_tenant_from_the_history_whose_key_it_has(
    postgres_pool: PostgresPool, tmp_path: Path
) -> None:
    context = surroundings(tmp_path, needs={"databases/app": postgres_pool}).context
    store = postgres_sessions.build(postgres_sessions.Config(database="databases/app"), context)
    await store.append("acme", "s", "t1", HELLO)
    everything = "SELECT * FROM session_messages"
    assert await postgres_pool.for_tenant("other").fetch(everything) == []
    assert len(await postgres_pool.for_tenant("acme").fetch(everything)) == 1


async def test_an_outage_of_postgres_neither_loses_nor_repeats_turns(
    postgres: PostgresServer, postgres_pool: PostgresPool, tmp_path: Path
) -> None:
    context = surroundings(tmp_path, needs={"databases/app": postgres_pool}).context
    store = postgres_sessions.build(postgres_sessions.Config(database="databases/app"), context)
    await store.append("acme", "s", "t1", HELLO)
    postgres.stop(SIGQUIT)
    with pytest.raises(StoreError, match="cannot reach PostgreSQL"):
        await store.append("acme", "s", "t2", HELLO)
    postgres.start()
    for turn in ("t1", "t2", "t2"):
        await store.append("acme", "s", turn, HELLO)
    assert await store.load("acme", "s") == HELLO + HELLO


async def test_an_outage_of_redis_is_an_error_until_its_return(
    redis_server: RedisServer, redis_client: RedisClient, tmp_path: Path
) -> None:
    context = surroundings(tmp_path, needs={"databases/app": redis_client}).context
    store = redis.build(redis.Config(database="databases/app"), context)
    await store.append("acme", "s", "t1", HELLO)
    redis_server.stop()
    with pytest.raises(StoreError, match=r"cannot reach Redis at 127\.0\.0\.1"):
        await store.load("acme", "s")
    redis_server.start()
    await store.append("acme", "s", "t2", HELLO)
    assert await store.load("acme", "s") == HELLO


async def test_histories_in_redis_expire(redis_client: RedisClient, tmp_path: Path) -> None:
    context = surroundings(tmp_path, needs={"databases/app": redis_client}).context
    store = redis.build(redis.Config(database="databases/app", ttl_seconds=60), context)
    await store.append("acme", "s", "t1", HELLO)
    (key,) = await redis_client.command("KEYS", "victor:sessions:*")
    assert 0 < await redis_client.command("TTL", key) <= 60
    await redis_client.command("PERSIST", key)
    await store.append("acme", "s", "t1", HELLO)
    assert await redis_client.command("TTL", key) > 0


async def test_histories_written_by_something_else_are_reported(
    redis_client: RedisClient, postgres_pool: PostgresPool, tmp_path: Path
) -> None:
    needs = {"databases/app": redis_client, "databases/pg": postgres_pool}
    context = surroundings(tmp_path, "sessions/store", needs=needs).context
    in_redis = redis.build(redis.Config(database="databases/app"), context)
    in_postgres = postgres_sessions.build(postgres_sessions.Config(database="databases/pg"), context)
    for store in (in_redis, in_postgres):
        await store.append(None, "s1", "t1", HELLO)
    (key,) = await redis_client.command("KEYS", "victor:sessions:*")
    await redis_client.command("HSET", key, "t1", "0 [1]")
    await postgres_pool.for_every_tenant().execute([("UPDATE session_messages SET messages = '[1]'", ())])
    for store in (in_redis, in_postgres):
        with pytest.raises(StoreError, match='sessions/store: the history of session "s1" cannot be read'):
            await store.load(None, "s1")
