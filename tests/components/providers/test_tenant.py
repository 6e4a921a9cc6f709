"""The tenant provider: rows as layers, cached; tenants without one are refused; on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from tests.components.context import TURN, Surroundings, surroundings
from tests.components.tenant_database import migrated_database
from tests.runtime.test_retried_sessions import ClockOf
from tests.services import PASSWORD, PostgresServer
from victor_dsl.components.providers import tenant as provider
from victor_dsl.errors import ProviderError, Refused, StoreError
from victor_dsl.language.kinds import Provider, SqlDatabase
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.sqlite_file import SqliteFile

PUT = """
INSERT INTO tenant_configs (tenant_id, config, active) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET config = EXCLUDED.config, active = EXCLUDED.active
"""
WARM = {"settings": {"temperature": 0.9}, "vars": {"product": "Cloud"}}
COLD = {"settings": {"temperature": 0.1}}
STRANGE = [
    "'; DROP TABLE tenant_configs; --",
    'a"b',
    "../../etc/passwd",
    "a\0b",
    "é\ud800",
    "x" * 10_000,
    "*",
    "\\-",
    "%",
]


@define
class World:
    """A database with tenants, and the providers that read it."""

    database: SqlDatabase
    around: Surroundings

    async def put(self, tenant: str, config: Any, *, active: bool = True) -> None:
        value = json.dumps(config) if self.database.dialect == "sqlite" else config
        await self.database.for_every_tenant().execute([(PUT, (tenant, value, active))])

    async def put_text(self, tenant: str, config: str) -> None:
        await self.database.for_every_tenant().execute([(PUT, (tenant, config, True))])

    def provider(self, **config: Any) -> Provider:
        return provider.build(provider.Config(database="databases/app", **config), self.around.context)


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with migrated_database(request, tmp_path) as database:
        yield World(
            database,
            surroundings(tmp_path, "providers/tenant", place="victor.yml:7", needs={"databases/app": database}),
        )


def of(tenant: str | None) -> Any:
    return TURN.replace(tenant=tenant)


async def test_a_row_is_a_layer(world: World) -> None:
    await world.put("acme", WARM)
    layer = await world.provider().read(of("acme"))
    assert (layer.settings, layer.vars, layer.source) == (WARM["settings"], WARM["vars"], "providers/tenant")


async def test_a_row_adds_to_lists(world: World) -> None:
    await world.put("acme", {"settings": {"limits": {"tools": {"+deny": ["refund"]}}}, "vars": {"+tags": ["a"]}})
    layer = await world.provider().read(of("acme"))
    assert (layer.settings, layer.vars) == ({"limits": {"tools": {"deny": ["refund"]}}}, {"tags": ["a"]})
    assert layer.added == {("settings", "limits", "tools", "deny"), ("vars", "tags")}
    await world.put("other", {"settings": {"+stop": "END"}})
    with pytest.raises(
        ProviderError, match="settings: '\\+stop' adds to a list, so its value must be a list, not text"
    ):
        await world.provider().read(of("other"))


async def test_the_layer_is_the_same_object_until_the_row_changes(world: World) -> None:
    await world.put("acme", WARM)
    tenants = world.provider(ttl_seconds=10)
    layer = await tenants.read(of("acme"))
    world.around.clock.time += 60
    assert await tenants.read(of("acme")) is layer
    await world.put("acme", COLD)
    assert await tenants.read(of("acme")) is layer, "a row is not asked for within its time"
    world.around.clock.time += 11
    assert (await tenants.read(of("acme"))).settings == COLD["settings"]


async def test_a_change_of_type_alone_is_a_change(world: World) -> None:
    await world.put("acme", {"vars": {"count": 1}})
    tenants = world.provider(ttl_seconds=10)
    await tenants.read(of("acme"))
    await world.put("acme", {"vars": {"count": True}})  # equal to 1 in Python
    world.around.clock.time += 11
    assert (await tenants.read(of("acme"))).vars["count"] is True


async def test_recipe_6_json_text_inside_jsonb_is_parsed_too(world: World) -> None:
    await world.put_text("acme", json.dumps(WARM))  # in JSONB: a JSON text within JSON
    assert (await world.provider().read(of("acme"))).settings == WARM["settings"]


async def test_a_row_is_data_and_names_no_code_no_file_and_no_variable(world: World) -> None:
    values = {"a": "${env:PATH}", "b": "${file:/etc/passwd}", "c": "{{ 1 + 1 }}"}
    await world.put("acme", {"vars": values})
    assert (await world.provider().read(of("acme"))).vars == values
    for section in ("tools", "middleware", "contributors", "providers", "extends", "models", "sessions"):
        await world.put(section, {section: [{"type": "python", "function": "os:system"}]})
        with pytest.raises(ProviderError, match=f"there is no section '{section}'"):
            await world.provider().read(of(section))


async def test_a_row_that_is_too_long_is_an_error_and_the_last_good_one_stays(world: World) -> None:
    await world.put("acme", WARM)
    tenants = world.provider(ttl_seconds=10)
    layer = await tenants.read(of("acme"))
    await world.put("acme", {"vars": {"text": "x" * 300_000}})
    world.around.clock.time += 11
    assert await tenants.read(of("acme")) is layer
    assert world.around.reports[0][0] == (
        'tenant_configs["acme"]: is longer than 262,144 characters; the last good values stay in force'
    )
    with pytest.raises(ProviderError, match="is longer than 262,144 characters"):
        await world.provider().read(of("acme"))


async def test_a_key_that_is_written_twice_is_a_fault(world: World) -> None:
    await world.put_text("acme", '{"settings": {"temperature": 1, "temperature": 2}}')
    with pytest.raises(ProviderError, match="'temperature' is written twice"):
        await world.provider().read(of("acme"))


async def test_recipe_6_a_tenant_made_inactive_is_refused_within_the_ttl(world: World) -> None:
    await world.put("acme", WARM)
    tenants = world.provider(ttl_seconds=10)
    await tenants.read(of("acme"))
    await world.put("acme", WARM, active=False)
    world.around.clock.time += 10
    for _ in range(2):
        with pytest.raises(Refused, match='the tenant "acme" is not active'):
            await tenants.read(of("acme"))
    await world.put("acme", WARM)
    world.around.clock.time += 10
    assert (await tenants.read(of("acme"))).settings == WARM["settings"]


async def test_an_inactive_tenant_is_refused_whatever_the_default(world: World) -> None:
    await world.put("acme", WARM, active=False)
    await world.put("default", COLD)
    with pytest.raises(Refused, match="not active"):
        await world.provider(default="default", optional=True).read(of("acme"))


@pytest.mark.parametrize("tenant", ["acme", *STRANGE], ids=lambda tenant: ascii(tenant)[:20])
async def test_recipe_6_an_unknown_tenant_is_refused_with_a_short_message(tenant: str, world: World) -> None:
    await world.put("default", WARM)
    with pytest.raises(Refused, match="providers/tenant: there is no row for the tenant ") as told:
        await world.provider().read(of(tenant))
    assert len(str(told.value)) < 300
    assert (await world.provider(default="default").read(of(tenant))).settings == WARM["settings"]
    assert (await world.provider(optional=True).read(of(tenant))).settings == {}


async def test_a_turn_without_a_tenant_gets_the_default_or_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="the turn names no tenant"):
        await world.provider().read(of(None))
    with pytest.raises(Refused, match="the turn names no tenant"):
        await world.provider(default="default").read(of(None))
    await world.put("default", WARM)
    assert (await world.provider(default="default").read(of(None))).vars == WARM["vars"]


async def test_all_tenants_without_a_row_share_one_layer(world: World) -> None:
    await world.put("default", WARM)
    tenants = world.provider(default="default")
    assert await tenants.read(of("a")) is await tenants.read(of("b"))
    tenants = world.provider(optional=True)
    assert await tenants.read(of("a")) is await tenants.read(of("b"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([1], "it must be a map of settings and vars, not a list"),
        (7, "it must be a map of settings and vars, not a number"),
        ({"temperature": 1}, "there is no section 'temperature'"),
        ({"settings": [1]}, "settings must be a map, not a list"),
        ({"settings": {"temprature": 1}}, "settings has no 'temprature'; did you mean 'temperature'"),
        ({"settings": {"temperature": True}}, "settings.temperature must be a number, not true"),
        ({"settings": {"temperature": 9, "max_tokens": 0}}, "settings.max_tokens"),
        ({"vars": "x"}, "vars must be a map, not text"),
    ],
    ids=lambda value: json.dumps(value)[:30] if not isinstance(value, str) else "",
)
async def test_recipe_6_a_faulty_config_is_an_error_that_names_tenant_and_table(
    config: Any, message: str, world: World
) -> None:
    await world.put("acme", config)
    await world.put("other", WARM)
    tenants = world.provider()
    with pytest.raises(ProviderError) as told:
        await tenants.read(of("acme"))
    assert 'providers/tenant: the config of tenant "acme" in the table tenant_configs is not a layer: ' in str(
        told.value
    )
    assert message in str(told.value)
    assert (await tenants.read(of("other"))).settings == WARM["settings"]


@pytest.mark.parametrize("text", ["", "{", "null", "nonsense", '{"vars": {"a": NaN}}', "[" * 100_000])
async def test_text_that_is_not_a_layer_is_reported(text: str, world: World) -> None:
    await world.put_text("acme", text)
    with pytest.raises(ProviderError, match='the config of tenant "acme"'):
        await world.provider().read(of("acme"))


async def test_recipe_1_after_a_faulty_change_the_last_good_values_stay_and_the_fault_is_reported(world: World) -> None:
    await world.put("acme", WARM)
    tenants = world.provider(ttl_seconds=10)
    layer = await tenants.read(of("acme"))
    await world.put("acme", [1])
    for _ in range(3):
        world.around.clock.time += 11
        assert await tenants.read(of("acme")) is layer
    messages = {message for message, _ in world.around.reports}
    assert len(messages) == 1
    assert 'tenant "acme"' in messages.pop()
    await world.put("acme", COLD)
    world.around.clock.time += 11
    assert (await tenants.read(of("acme"))).settings == COLD["settings"]


async def test_recipe_6_the_last_good_values_outlive_the_database_until_it_returns(
    postgres: PostgresServer, postgres_dsn: str, tmp_path: Path
) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        await migrate(database)
        world = World(database, surroundings(tmp_path, "providers/tenant", needs={"databases/app": database}))
        await world.put("acme", WARM)
        await world.put("gone", WARM, active=False)
        tenants = world.provider(ttl_seconds=10)
        layer = await tenants.read(of("acme"))
        with pytest.raises(Refused):
            await tenants.read(of("gone"))
        postgres.stop()
        world.around.clock.time += 11
        assert await asyncio.gather(*[tenants.read(of("acme")) for _ in range(20)]) == [layer] * 20
        with pytest.raises(Refused, match="not active"):
            await tenants.read(of("gone"))
        with pytest.raises(StoreError, match="cannot reach PostgreSQL") as told:
            await tenants.read(of("new"))
        assert PASSWORD not in str(told.value) + str(world.around.reports)
        assert {message for message, _ in world.around.reports} == {
            f"{told.value.message}; the last good values stay in force"
        }
        postgres.start()
        await world.put("acme", COLD)
        world.around.clock.time += 1
        assert (await tenants.read(of("acme"))).settings == COLD["settings"]


async def test_a_row_that_was_never_read_is_waited_for_in_a_short_outage(
    postgres: PostgresServer, postgres_dsn: str, tmp_path: Path
) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        await migrate(database)
        around = surroundings(tmp_path, "providers/tenant", needs={"databases/app": database})
        world = World(database, evolve(around, context=evolve(around.context, clock=ClockOf(back=postgres.start))))
        await world.put("acme", WARM)
        tenants = world.provider(ttl_seconds=10)
        postgres.stop()
        assert (await tenants.read(of("acme"))).settings == WARM["settings"]


@define
class Counting:
    """A database that counts its queries."""

    database: SqlDatabase
    asked: list[Any] = field(factory=list)

    def for_tenant(self, tenant: str | None) -> Counting:
        self.asked.append(tenant)
        return self

    async def fetch(self, sql: str, *parameters: Any) -> Any:
        return await self.database.fetch(sql, *parameters)


async def test_many_turns_of_one_tenant_read_its_row_once_even_if_there_is_none(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "app.db") as file:
        await migrate(file)
        database = Counting(file)
        around = surroundings(tmp_path, "providers/tenant", needs={"databases/app": database})
        tenants = provider.build(provider.Config(database="databases/app", optional=True), around.context)
        await asyncio.gather(*[tenants.read(of(name)) for name in "ab" for _ in range(50)])
        assert sorted(database.asked) == ["a", "b"]


async def test_if_the_turn_that_reads_is_cancelled_another_reads(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "app.db") as file:
        await migrate(file)
        await World(file, surroundings(tmp_path)).put("a", WARM)
        around = surroundings(tmp_path, needs={"databases/app": file})
        tenants = provider.build(provider.Config(database="databases/app"), around.context)
        first = asyncio.create_task(tenants.read(of("a")))
        others = [asyncio.create_task(tenants.read(of("a"))) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        layers = await asyncio.gather(*others)
        assert {id(layer) for layer in layers} == {id(layers[0])}
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_the_least_recently_used_row_is_dropped(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "app.db") as file:
        await migrate(file)
        database = Counting(file)
        around = surroundings(tmp_path, needs={"databases/app": database})
        config = provider.Config(database="databases/app", optional=True, max_tenants=2)
        tenants = provider.build(config, around.context)
        for name in "abacab":
            await tenants.read(of(name))
        assert "".join(database.asked) == "abcb"


RIGHTS: dict[str, Any] = {
    "may_set": ["settings.temperature", "settings.limits.*", "vars.*"],
    "at_most": {"limits.requests_per_minute": 60, "settings.temperature": 1},
}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"settings": {"temperature": 0.9, "limits": {"requests_per_minute": 60}}, "vars": {"a": None}}, None),
        ({"settings": {"limits": {"concurrency": None, "tools": {"deny": ["x"]}}}}, None),
        ({"settings": {"limits": {}}, "vars": {}}, None),
        ({"settings": {}, "vars": None}, None),
        ({"settings": {"seed": 1}}, "a row may not set settings.seed; "),
        ({"settings": {"temprature": 1}}, "settings has no 'temprature'"),
        ({"settings": {"seed": None}}, "a row may not set settings.seed; "),
        ({"settings": {"limits": None}}, "a row may not set settings.limits; "),
        ({"settings": {"temperature": 1.5}}, "settings.temperature may be at most 1 (`at_most`, victor.yml:7)"),
        (
            {"settings": {"temperature": None}},
            "settings.temperature may be at most 1 (`at_most`, victor.yml:7), and null",
        ),
        (
            {"settings": {"limits": {"requests_per_minute": 60.5}}},
            "settings.limits.requests_per_minute may be at most 60 (`at_most`, victor.yml:7)",
        ),
        ({"settings": {"limits": {"requests_per_minute": None}}}, "and null removes the limit"),
        ({"settings": {"limits": {"requests_per_minute": 1e400}}}, "is not JSON"),
    ],
)
async def test_a_row_sets_what_it_may_and_no_more_than_at_most(world: World, row: Any, told: str | None) -> None:
    await world.put_text("acme", json.dumps(row))
    tenants = world.provider(**RIGHTS)
    if told is None:
        assert (await tenants.read(of("acme"))).settings == row["settings"]
    else:
        with pytest.raises(ProviderError) as raised:
            await tenants.read(of("acme"))
        assert told in str(raised.value)


async def test_null_above_a_maximum_removes_it_too(world: World) -> None:
    await world.put("acme", {"settings": {"limits": None}})
    with pytest.raises(ProviderError, match=r"settings\.limits\.requests_per_minute may be at most 1,000\.5"):
        await world.provider(at_most={"limits.requests_per_minute": 1000.5}).read(of("acme"))


async def test_a_row_may_set_nothing_where_it_may_set_an_empty_list(world: World) -> None:
    await world.put("acme", {"vars": {"a": 1}})
    with pytest.raises(ProviderError, match=r"a row may not set vars\.a"):
        await world.provider(may_set=[]).read(of("acme"))


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        (
            {"settings": {"model": "x"}},
            "settings.model; `may_set` (victor.yml:7): settings.limits.*, vars.brand.*, vars.company",
        ),
        ({"vars": {"beta": 1}}, "vars.beta; `may_set` (victor.yml:7): settings.limits.*, vars.brand.*, vars.company"),
        ({"vars": {"companny": "x"}}, "vars.companny; did you mean 'vars.company'? `may_set` (victor.yml:7): "),
    ],
)
async def test_only_a_misspelt_var_of_a_row_has_a_nearest_one(world: World, row: Any, hint: str) -> None:
    await world.put("acme", row)
    with pytest.raises(ProviderError) as raised:
        await world.provider(may_set=["settings.limits.*", "vars.brand.*", "vars.company"]).read(of("acme"))
    assert f"a row may not set {hint}" in str(raised.value)


async def test_while_a_row_goes_beyond_its_rights_its_last_good_values_stay_in_force(world: World) -> None:
    await world.put("acme", WARM)
    tenants = world.provider(ttl_seconds=10, **RIGHTS)
    await tenants.read(of("acme"))
    await world.put("acme", {"settings": {"temperature": 2}})
    world.around.clock.time += 10
    assert (await tenants.read(of("acme"))).settings == WARM["settings"]
    [report] = world.around.reports
    assert "settings.temperature may be at most 1" in str(report)
    assert "the last good values stay in force" in str(report)


async def test_a_tenant_with_an_active_row_of_its_own_is_known(world: World) -> None:
    await world.put("acme", WARM)
    await world.put("default", COLD)
    await world.put("former", WARM, active=False)
    tenants: Any = world.provider(default="default")
    assert [await tenants.knows(name) for name in ("acme", "former", "newcomer", *STRANGE)] == [
        True,
        *[False] * (2 + len(STRANGE)),
    ]
