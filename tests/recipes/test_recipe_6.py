"""Job 6, many tenants: each with its own settings, prompt, limits and histories, from a database."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from tests.services import PASSWORD, PostgresServer
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import Refused, StoreError
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.request import Request

SPEC = """
victor: 1
name: demo
models: {main: {type: echo}}
databases: {app: DATABASE}
settings: {temperature: 0.5}
vars: {product: ours}
providers: [{type: tenant, database: app, ttl_seconds: 1, PROVIDER}]
contributors:
  - {type: tenant, database: app, max_tokens: 100, ttl_seconds: 1, optional: true}
tools:
  - {type: python, name: look, function: "tenants_tools:look"}
  - {type: python, name: wipe, function: "tenants_tools:wipe"}
exporters: [{type: jsonl, path: events.jsonl}]
sessions: {type: SESSIONS, database: app}
tenants:
  french: {with: {contributors: {tongue: {type: text, text: "Answer in French."}}}}
"""
TOOLS = "def look(what: str) -> str:\n    'Looks.'\n    return what\ndef wipe(what: str) -> str:\n    'Wipes.'\n    return what\n"
PUT = """
INSERT INTO tenant_configs (tenant_id, config, active) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET config = EXCLUDED.config, active = EXCLUDED.active
"""
PROMPT = "INSERT INTO tenant_prompt_templates (tenant_id, prompt_template) VALUES ($1, $2)"
STRANGE = ["'; DROP TABLE tenant_configs; --", 'a"b/../c', "a\0b", "é\ud800", "x" * 10_000, "*", "\\-"]


class HurryingClock:
    """Two seconds pass from each look at the clock to the next, so that a row is never current for two turns."""

    def __init__(self) -> None:
        self._looks = itertools.count(0, 2)

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return float(next(self._looks))

    def sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds)


@define
class World:
    """A migrated database, and the specs that use it."""

    database: PostgresPool | SqliteFile
    folder: Path
    environment: dict[str, str]

    async def put(self, tenant: str, config: Any, *, active: bool = True) -> None:
        value = json.dumps(config) if self.database.dialect == "sqlite" else config
        await self.database.for_every_tenant().execute([(PUT, (tenant, value, active))])

    @asynccontextmanager
    async def opened(self, provider: str = "") -> AsyncIterator[Orchestrator]:
        dialect = self.database.dialect
        written = '{type: postgres, dsn: "${env:DSN}"}' if dialect == "postgres" else "{type: sqlite, path: app.db}"
        spec = SPEC.replace("DATABASE", written).replace("SESSIONS", dialect).replace("PROVIDER", provider)
        (self.folder / "victor.yml").write_text(spec.replace(", }", "}"), encoding="utf-8")
        (self.folder / "tenants_tools.py").write_text(TOOLS, encoding="utf-8")
        compilation = compile_spec(
            str(self.folder / "victor.yml"), environment=self.environment, require_environment=True
        )
        assert compilation.program is not None, [diagnostic.message for diagnostic in compilation.diagnostics]
        async with Orchestrator(compilation.program, clock=HurryingClock()) as orchestrator:
            yield orchestrator

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    database: PostgresPool | SqliteFile
    environment = {}
    if request.param == "sqlite":
        database = SqliteFile(tmp_path / "app.db")
    else:
        dsn = environment["DSN"] = request.getfixturevalue("postgres_dsn")
        database = PostgresPool(lambda: dsn, "databases/app")
    async with database:
        await migrate(database)
        yield World(database, tmp_path, environment)


async def test_recipe_6_each_tenant_has_its_own_settings_prompt_limits_and_overlay(world: World) -> None:
    await world.put(
        "acme", {"settings": {"temperature": 0.9, "limits": {"requests_per_minute": 5}}, "vars": {"product": "Cloud"}}
    )
    await world.put("french", {"settings": {"limits": {"tools": {"deny": ["wipe"]}}}})
    await world.database.for_every_tenant().execute([(PROMPT, ("acme", "Help with {{ product }}."))])
    async with world.opened() as orchestrator:
        acme = await orchestrator.render(Request(message="Hi!", tenant="acme"))
        french = await orchestrator.render(Request(message="Hi!", tenant="french"))
    assert (acme.system, french.system) == ("Help with Cloud.", "Answer in French.")
    assert (acme.settings["temperature"], french.settings["temperature"]) == (0.9, 0.5)
    assert acme.settings["limits"]["requests_per_minute"] == 5
    assert "requests_per_minute" not in french.settings["limits"]
    assert (set(acme.tools), set(french.tools)) == ({"look", "wipe"}, {"look"})
    assert acme.origins["settings.temperature"].source == "providers/tenant"


async def test_recipe_6_one_session_id_is_another_session_for_each_tenant(world: World) -> None:
    for tenant in ("a", "b"):
        await world.put(tenant, {})
    async with world.opened() as orchestrator:
        for tenant in ("a", "b", "a"):
            await orchestrator.chat(f"I am {tenant}", session_id="s1", tenant=tenant)
        rendered = await orchestrator.render(Request(message="Hi!", session="s1", tenant="b"))
    assert "I am b" in str(rendered.to_dict()["messages"])
    assert "I am a" not in str(rendered.to_dict())


async def test_recipe_6_one_orchestrator_keeps_the_users_of_a_tenant_apart(world: World) -> None:
    await world.put("a", {})
    async with world.opened() as orchestrator:
        await orchestrator.chat("I am ann", session_id="ann", user="ann", tenant="a")
        rendered = await orchestrator.render(Request(message="Hi!", session="bob", user="bob", tenant="a"))
    assert "ann" not in str(rendered.to_dict()["messages"])


@pytest.mark.parametrize("session", ["acme:1", "acme", "acme/1", "tenant_acme_1"])
async def test_recipe_6_the_tenant_is_never_read_from_the_session_id(session: str, world: World) -> None:
    await world.put("acme", {"vars": {"product": "Cloud"}})
    async with world.opened() as orchestrator:
        answer = await orchestrator.answer(Request(message="Hi!", session=session))
    assert isinstance(answer.error, Refused)
    assert answer.tenant is None


@pytest.mark.parametrize("tenant", STRANGE, ids=lambda tenant: ascii(tenant)[:20])
async def test_recipe_6_a_strange_tenant_is_refused_alone_and_served_where_there_is_a_default(
    tenant: str, world: World
) -> None:
    await world.put("acme", {})
    await world.put("default", {"vars": {"product": "ours"}})
    async with world.opened() as orchestrator:
        refused = await orchestrator.answer(Request(message="Hi!", session="s", tenant=tenant))
        served = await orchestrator.answer(Request(message="Hi!", session="s", tenant="acme"))
    assert isinstance(refused.error, Refused)
    assert len(str(refused.error)) < 300
    assert served.error is None
    async with world.opened("default: default") as orchestrator:
        for text in ("one", "two"):
            assert (await orchestrator.answer(Request(message=text, session="s", tenant=tenant))).error is None
        rendered = await orchestrator.render(Request(message="three", session="s", tenant=tenant))
        assert [message["content"] for message in rendered.to_dict()["messages"]][::2] == ["one", "two", "three"]
    assert len(await world.database.for_every_tenant().fetch("SELECT * FROM tenant_configs")) == 2


async def test_recipe_6_a_tenant_made_inactive_stops_and_the_others_go_on(world: World) -> None:
    for tenant in ("a", "b"):
        await world.put(tenant, {})
    async with world.opened() as orchestrator:
        assert (await orchestrator.answer(Request(message="Hi!", tenant="a"))).error is None
        await world.put("a", {}, active=False)
        answers = [await orchestrator.answer(Request(message="Hi!", tenant=tenant)) for tenant in ("a", "b")]
    assert [type(answer.error) for answer in answers] == [Refused, type(None)]


async def test_recipe_6_a_column_that_is_no_map_fails_its_tenants_turn_and_no_other(world: World) -> None:
    await world.put("a", [1, 2])
    await world.put("b", {})
    async with world.opened() as orchestrator:
        answers = [await orchestrator.answer(Request(message="Hi!", tenant=tenant)) for tenant in ("a", "b")]
    assert 'the config of tenant "a" in the table tenant_configs is not a layer' in str(answers[0].error)
    assert answers[1].error is None


async def test_recipe_6_usage_is_counted_for_each_tenant(world: World) -> None:
    for tenant in ("a", "b"):
        await world.put(tenant, {})
    async with world.opened() as orchestrator:
        for tenant in ("a", "b", "b"):
            await orchestrator.chat("Hi!", tenant=tenant)
    used = [event["tenant"] for event in world.events() if event["type"] == "turn"]
    assert sorted(used) == ["a", "b", "b"]


async def test_recipe_6_while_the_database_is_away_turns_fail_in_words_and_go_on_when_it_returns(
    postgres: PostgresServer, postgres_dsn: str, tmp_path: Path
) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        await migrate(database)
        world = World(database, tmp_path, {"DSN": postgres_dsn})
        await world.put("a", {"vars": {"product": "Cloud"}})
        async with world.opened() as orchestrator:
            assert (await orchestrator.answer(Request(message="one", session="s", tenant="a"))).error is None
            postgres.stop()
            alone = await orchestrator.answer(Request(message="two", tenant="a"))
            in_a_session = await orchestrator.answer(Request(message="two", session="s", tenant="a"))
            unknown = await orchestrator.answer(Request(message="two", tenant="b"))
            postgres.start()
            again = await orchestrator.answer(Request(message="three", session="s", tenant="a"))
            rendered = await orchestrator.render(Request(message="four", session="s", tenant="a"))
    assert alone.error is None, "what was known of the tenant holds"
    assert isinstance(in_a_session.error, StoreError)
    assert unknown.error is not None
    assert again.error is None
    assert [message["content"] for message in rendered.to_dict()["messages"]][::2] == ["one", "three", "four"]
    said = json.dumps(world.events()) + str(in_a_session.error) + str(unknown.error)
    assert PASSWORD not in said
    assert "the last good values stay in force" in said
