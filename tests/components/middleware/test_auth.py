"""Nobody gets in without a key, and nobody in another's name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.components.context import surroundings
from tests.components.middleware.harness import KEY, Guard, Heard, a_turn, asking, harness, hashed
from tests.services import PostgresServer
from victor_dsl.components.databases import sqlite
from victor_dsl.errors import ComponentError, Refused, StoreError, Unauthenticated
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Turn

OTHER = "vk_of-globex-9876543210-9876"
INSERT = "INSERT INTO api_keys (key_hash, tenant_id, user_id, active, expires_at) VALUES ($1, $2, $3, $4, $5)"


def keys_file(folder: Path, *entries: Mapping[str, Any], name: str = "keys.yml") -> str:
    path = folder / name
    path.write_text(json.dumps({"keys": list(entries)}))
    path.chmod(0o600)
    return str(path)


def entry(key: str = KEY, tenant: str | None = "acme", user: str | None = "ann", **more: Any) -> dict[str, Any]:
    return {"key_hash": hashed(key), "tenant_id": tenant, "user_id": user, **more}


@define
class Table:
    """A database of keys that can be away."""

    rows: dict[str, dict[str, Any]]
    dialect: str = "sqlite"
    asked: int = 0
    away: BaseException | None = None
    failures: int = 0
    """How many of the next calls fail because the connection is lost."""
    hangs: bool = False
    gate: asyncio.Event = field(factory=asyncio.Event)

    async def fetch(self, sql: str, *parameters: Any) -> list[Mapping[str, Any]]:
        self.asked += 1
        if self.hangs:
            await self.gate.wait()
        if self.away is not None:
            raise self.away
        if self.failures:
            self.failures -= 1
            raise StoreError("the connection was closed", transient=True)
        return [self.rows[parameters[0]]] if parameters[0] in self.rows else []

    async def execute(self, statements: Any) -> None: ...

    def for_tenant(self, tenant: str | None) -> Table:
        return self

    def for_every_tenant(self) -> Table:
        return self


def table(*entries: dict[str, Any]) -> Table:
    return Table({one["key_hash"]: {"active": True, "expires_at": None, **one} for one in entries})


async def refused(guard: Guard, turn: Turn, match: str) -> None:
    before = len(guard.reached)
    with pytest.raises(Unauthenticated, match=match) as caught:
        await guard(turn)
    assert len(guard.reached) == before
    assert KEY not in str(caught.value)


async def test_a_key_gives_the_turn_its_tenant_and_user(tmp_path: Path) -> None:
    async with harness("auth", tmp_path, keys=keys_file(tmp_path, entry())) as guard:
        await guard(a_turn(key=KEY))
        assert (guard.reached[0].tenant, guard.reached[0].user) == ("acme", "ann")


async def test_inner_middleware_does_not_see_the_key(tmp_path: Path) -> None:
    async with harness("auth", tmp_path, keys=keys_file(tmp_path, entry())) as guard:
        turn = a_turn(key=KEY)
        headers = {"authorization": f"Bearer {KEY}", "accept": "*/*"}
        turn = asking(turn.replace(metadata={**turn.metadata, "headers": headers}), metadata=turn.metadata)
        assert KEY not in repr(turn)
        await guard(turn)
        inner = guard.reached[0]
        assert KEY not in f"{inner} {inner.metadata} {inner.request.metadata}"
        assert inner.metadata == {"headers": {"accept": "*/*"}, "key_id": hashed(KEY)[7:19]}


@pytest.mark.parametrize("key", [None, "", "short", KEY[:19], "x" * 5000])
async def test_a_missing_or_impossible_key_is_refused_without_a_look_up(tmp_path: Path, key: str | None) -> None:
    database = table(entry())
    async with harness("auth", tmp_path, database="databases/app", needs={"databases/app": database}) as guard:
        await refused(guard, a_turn(key=key), "an API key is required|too short or too long")
    assert database.asked == 0


@pytest.mark.parametrize("key", [OTHER, KEY + "\0", KEY.upper(), KEY[:-1], "\ud800" * 30, "' OR 1=1 --" * 3])
async def test_an_unknown_key_is_refused(tmp_path: Path, key: str) -> None:
    async with harness("auth", tmp_path, keys=keys_file(tmp_path, entry())) as guard:
        await refused(guard, a_turn(key=key), "is unknown")


async def test_a_key_that_is_not_text_counts_as_missing(tmp_path: Path) -> None:
    async with harness("auth", tmp_path, keys=keys_file(tmp_path, entry())) as guard:
        await refused(guard, a_turn().replace(metadata={"api_key": [KEY]}), "an API key is required")


async def test_a_revoked_key_and_one_that_has_expired_are_refused(tmp_path: Path) -> None:
    file = keys_file(tmp_path, entry(active=False), entry(OTHER, expires_at="2023-11-14T22:13:30Z"))
    async with harness("auth", tmp_path, keys=file) as guard:
        await refused(guard, a_turn(key=KEY), "has been revoked")
        await guard(a_turn(key=OTHER))
        guard.clock.time += 10
        await refused(guard, a_turn(key=OTHER), "has expired")


async def test_recipe_6_the_tenant_of_a_request_is_never_taken_for_the_callers(tmp_path: Path) -> None:
    async with harness("auth", tmp_path, keys=keys_file(tmp_path, entry(), entry(OTHER, None, None))) as guard:
        await guard(asking(a_turn(key=KEY), tenant="acme", user="ann"))
        await refused(guard, asking(a_turn(key=KEY), tenant="globex"), "another tenant")
        await refused(guard, asking(a_turn(key=KEY), user="bob"), "another user")
        await refused(guard, asking(a_turn(key=OTHER), tenant="acme"), "names a tenant, and its API key has none")
        await guard(asking(a_turn(key=OTHER), session="acme:1", user="bob"))
        assert (guard.reached[-1].tenant, guard.reached[-1].user) == (None, "bob")


async def test_recipe_6_a_session_id_names_the_tenant_only_where_the_spec_trusts_it(tmp_path: Path) -> None:
    file = keys_file(tmp_path, entry(), entry(OTHER, None, None))
    async with harness("auth", tmp_path, keys=file, trust_session_prefix=True) as guard:
        await guard(asking(a_turn(key=OTHER), session="globex:1"))
        assert guard.reached[-1].tenant == "globex"
        await guard(asking(a_turn(key=OTHER), session="globex:1", tenant="globex"))
        await refused(guard, asking(a_turn(key=OTHER), session="globex:1", tenant="acme"), "another tenant")
        for session in (None, "globex", ":1", ""):
            await guard(asking(a_turn(key=OTHER), session=session))
            assert guard.reached[-1].tenant is None
        await guard(asking(a_turn(key=KEY), session="globex:1"))
        assert guard.reached[-1].tenant == "acme", "a key's own tenant comes first"


async def test_over_http_only_the_configured_header_counts(tmp_path: Path) -> None:
    file = keys_file(tmp_path, entry(), entry(OTHER, "globex", None))
    async with harness("auth", tmp_path, keys=file, header="X-Api-Key") as guard:
        turn = a_turn(key=OTHER)
        await guard(turn)
        assert guard.reached[-1].tenant == "globex", "without headers, the interface's own"
        await guard(turn.replace(metadata={"api_key": OTHER, "headers": {"x-api-key": KEY}}))
        assert guard.reached[-1].tenant == "acme"
        assert guard.reached[-1].metadata["headers"] == {}
        await refused(guard, turn.replace(metadata={"api_key": OTHER, "headers": {}}), "an API key is required")


async def test_a_changed_file_applies_from_the_next_turn_and_during_a_faulty_one_known_keys_keep_working(
    tmp_path: Path,
) -> None:
    file = keys_file(tmp_path, entry())
    async with harness("auth", tmp_path, keys=file, outage_seconds=100) as guard:
        await guard(a_turn(key=KEY))
        Path(file).write_text("keys: [")
        guard.clock.time += 50
        await guard(a_turn(key=KEY))
        assert "the key source is unreachable" in guard.reports[0][0]
        with pytest.raises(Refused, match="cannot be checked at the moment"):
            await guard(a_turn(key=OTHER))
        guard.clock.time += 51
        with pytest.raises(Refused, match="cannot be checked at the moment"):
            await guard(a_turn(key=KEY))
        keys_file(tmp_path, entry(OTHER))
        await guard(a_turn(key=OTHER))
        await refused(guard, a_turn(key=KEY), "is unknown")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keys: [{key_hash: 12}]", r"keys.yml:1: key_hash must be `sha256:`"),
        (f"keys: [{{key_hash: '{KEY}'}}]", r"keys.yml:1: key_hash must be `sha256:`"),
        ("tokens: []", "keys.yml:1:1: there is no 'tokens'"),
        ("keys: [{hash: a}]", r"keys.yml:1:9: a key has no 'hash'; did you mean 'key_hash'"),
        ("keys: [a]", "a key's entry is a map"),
        ("keys: a", "a map with a list `keys`"),
        (f"keys: [{{key_hash: '{hashed(KEY)}', active: maybe}}]", "active must be true or false"),
        (f"keys: [{{key_hash: '{hashed(KEY)}', tenant_id: 3}}]", "tenant_id must be text"),
        (f"keys: [{{key_hash: '{hashed(KEY)}', expires_at: tomorrow}}]", "expires_at must be a time"),
        (f"keys: [{{key_hash: '{hashed(KEY)}'}}, {{key_hash: '{hashed(KEY)}'}}]", "appears twice"),
    ],
)
async def test_a_faulty_file_is_an_error_at_the_start_that_shows_no_hash(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "keys.yml").write_text(text)
    with pytest.raises(StoreError, match=message) as caught:
        async with harness("auth", tmp_path, keys=str(tmp_path / "keys.yml")):
            pass
    assert hashed(KEY) not in str(caught.value)
    assert KEY not in str(caught.value)


async def test_a_key_is_looked_up_once_per_cache_time_and_a_revoked_one_is_refused_afterwards(
    tmp_path: Path,
) -> None:
    database = table(entry())
    async with harness(
        "auth", tmp_path, database="databases/app", cache_seconds=30, needs={"databases/app": database}
    ) as guard:
        for _ in range(5):
            await guard(a_turn(key=KEY))
        assert database.asked == 1
        database.rows[hashed(KEY)]["active"] = False
        guard.clock.time += 29
        await guard(a_turn(key=KEY))
        guard.clock.time += 2
        await refused(guard, a_turn(key=KEY), "revoked")
        database.rows.clear()
        guard.clock.time += 31
        await refused(guard, a_turn(key=KEY), "is unknown")
        database.rows[hashed(KEY)] = {**entry(), "active": 1, "expires_at": None}
        await guard(a_turn(key=KEY))


async def test_during_an_outage_known_keys_work_for_a_while_and_unknown_ones_do_not(tmp_path: Path) -> None:
    database = table(entry(), entry(OTHER))
    async with harness(
        "auth", tmp_path, database="databases/app", outage_seconds=100, needs={"databases/app": database}
    ) as guard:
        await guard(a_turn(key=KEY))
        database.away = StoreError("the server is away")
        guard.clock.time += 61
        await guard(a_turn(key=KEY))
        with pytest.raises(Refused) as caught:
            await guard(a_turn(key=OTHER))
        assert not isinstance(caught.value, Unauthenticated), "not knowing is no wrong key"
        assert caught.value.retry_after_s
        guard.clock.time += 100
        with pytest.raises(Refused):
            await guard(a_turn(key=KEY))
        database.away = None
        await guard(a_turn(key=KEY))
        assert [message for message, _ in guard.reports] == [
            "the key source is unreachable; cached keys stay valid: the server is away",
            *["keys cannot be checked; turns are refused: the server is away"] * 2,
        ]


async def test_where_the_table_is_missing_a_report_says_how_to_create_it(tmp_path: Path) -> None:
    context = surroundings(tmp_path, "databases/app").context
    async with (
        sqlite.build(sqlite.Config(path=str(tmp_path / "app.db")), context) as database,
        harness("auth", tmp_path, database="databases/app", needs={"databases/app": database}) as guard,
    ):
        with pytest.raises(Refused, match=r"API keys cannot be checked at the moment$"):
            await guard(a_turn(key=KEY))
        [(message, _)] = guard.reports
        assert "no such table: api_keys" in message
        assert "victor db migrate SPEC --database app" in message


async def test_a_short_outage_refuses_no_key(tmp_path: Path) -> None:
    database = table(entry(), entry(OTHER))
    async with harness("auth", tmp_path, database="databases/app", needs={"databases/app": database}) as guard:
        database.failures = 4
        await guard(a_turn(key=KEY))  # never looked up before
        assert database.asked == 5
        guard.clock.time += 10_000
        database.failures = 4
        await guard(a_turn(key=KEY))  # looked up too long ago
        assert database.asked == 10
        guard.clock.time += 61
        database.failures = 1
        await guard(a_turn(key=KEY))  # still valid: it is not waited for
        assert database.asked == 11
        began, database.failures = guard.clock.time, 10_000
        with pytest.raises(Refused, match="cannot be checked"):
            await guard(a_turn(key=OTHER))
        assert 5 <= guard.clock.time - began < 6


async def test_while_one_turn_looks_a_key_up_again_the_others_use_the_cached_one(tmp_path: Path) -> None:
    database = table(entry())
    async with harness("auth", tmp_path, database="databases/app", needs={"databases/app": database}) as guard:
        await guard(a_turn(key=KEY))
        guard.clock.time += 61
        database.hangs = True
        slow = asyncio.ensure_future(guard(a_turn(key=KEY)))
        await asyncio.sleep(0)
        await guard(a_turn(key=KEY))
        assert database.asked == 2
        database.gate.set()
        await slow


async def test_after_a_cancelled_look_up_the_key_is_looked_up_again(tmp_path: Path) -> None:
    database = table(entry())
    async with harness("auth", tmp_path, database="databases/app", needs={"databases/app": database}) as guard:
        await guard(a_turn(key=KEY))
        guard.clock.time += 61
        database.hangs = True
        slow = asyncio.ensure_future(guard(a_turn(key=KEY)))
        await asyncio.sleep(0)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        database.hangs = False
        await guard(a_turn(key=KEY))
        assert database.asked == 3


async def test_keys_in_sqlite(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "app.db") as database:
        await migrate(database)
        await database.execute(
            [
                (INSERT, (hashed(KEY), "acme", "ann", True, None)),
                (INSERT, (hashed(OTHER), None, None, True, "2000-01-01T00:00:00Z")),
            ]
        )
        async with harness("auth", tmp_path, database="databases/app", needs={"databases/app": database}) as guard:
            await guard(a_turn(key=KEY))
            assert (guard.reached[0].tenant, guard.reached[0].user) == ("acme", "ann")
            await refused(guard, a_turn(key=OTHER), "expired")


async def test_keys_in_postgresql_over_an_outage(tmp_path: Path, postgres_dsn: str, postgres: PostgresServer) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        await migrate(database)
        await database.for_every_tenant().execute([(INSERT, (hashed(KEY), "acme", "ann", True, None))])
        await database.for_every_tenant().execute([(INSERT, (hashed(OTHER), None, None, True, None))])
        async with harness("auth", tmp_path, database="databases/app", needs={"databases/app": database}) as guard:
            await guard(a_turn(key=KEY))
            await guard(a_turn(key=OTHER))
            assert [turn.tenant for turn in guard.reached] == ["acme", None]
            postgres.stop()
            guard.clock.time += 61
            await guard(a_turn(key=KEY))
            guard.clock.time += 601
            with pytest.raises(Refused, match="cannot be checked"):
                await guard(a_turn(key=KEY))
            postgres.start()
            await guard(a_turn(key=KEY))


async def test_a_database_without_sql_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="is not an SQL database"):
        async with harness("auth", tmp_path, database="databases/app", needs={"databases/app": object()}):
            pass


async def test_streams_pass(tmp_path: Path) -> None:
    heard = Heard()

    async def streams(turn: Turn) -> Reply:
        await turn.emit(Delta("hi"))
        raise Refused("no more")

    async with harness("auth", tmp_path, streams, keys=keys_file(tmp_path, entry())) as guard:
        with pytest.raises(Refused, match="no more"):
            await guard(a_turn(key=KEY, emit=heard.emit, streaming=True))
    assert heard.pieces == ["hi"]
