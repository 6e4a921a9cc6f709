"""The tenant contributor: templates from rows, sandboxed and cached, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from pydantic import ValidationError

from tests.components.context import TURN, Surroundings, surroundings
from tests.components.tenant_database import migrated_database
from victor_dsl.components.contributors import tenant as contributor
from victor_dsl.errors import ContributorError
from victor_dsl.language.kinds import Contributor, SqlDatabase

PUT = """
INSERT INTO tenant_prompt_templates (tenant_id, prompt_template, active) VALUES ($1, $2, $3)
ON CONFLICT (tenant_id) DO UPDATE SET prompt_template = EXCLUDED.prompt_template, active = EXCLUDED.active
"""
ACME = TURN.replace(tenant="acme", vars={"product": "Cloud"})


@define
class World:
    """A database with templates, and what renders them."""

    database: SqlDatabase
    around: Surroundings

    async def put(self, tenant: str, template: str, *, active: bool = True) -> None:
        await self.database.for_every_tenant().execute([(PUT, (tenant, template, active))])

    def contributor(self, **config: Any) -> Contributor:
        made = contributor.Config(**{"database": "databases/app", "max_tokens": 500, **config})
        return contributor.build(made, self.around.context)


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with migrated_database(request, tmp_path) as database:
        yield World(database, surroundings(tmp_path, "contributors/tenant", needs={"databases/app": database}))


async def test_a_row_is_rendered_for_its_tenant_alone(world: World) -> None:
    await world.put("acme", "You help users of {{ product }} at {{ tenant }}.\n")
    await world.put("other", "Not for acme.")
    assert await world.contributor().contribute(ACME) == "You help users of Cloud at acme."


async def test_a_change_takes_effect_after_the_ttl(world: World) -> None:
    await world.put("acme", "One.")
    templates = world.contributor(ttl_seconds=10)
    assert await templates.contribute(ACME) == "One."
    await world.put("acme", "Two.")
    assert await templates.contribute(ACME) == "One."
    world.around.clock.time += 11
    assert await templates.contribute(ACME) == "Two."


async def test_a_tenant_without_an_active_row_has_the_default(world: World) -> None:
    await world.put("acme", "Old.", active=False)
    await world.put("default", "For {{ tenant | default('all') }}.")
    templates = world.contributor(default="default")
    assert await templates.contribute(ACME) == "For acme."
    assert await templates.contribute(ACME.replace(tenant="'; DROP TABLE x; --\0")) == "For '; DROP TABLE x; --\0."
    assert await templates.contribute(ACME.replace(tenant=None)) == "For all."


async def test_recipe_2_a_tenant_without_a_template_is_an_error(world: World) -> None:
    with pytest.raises(ContributorError, match='has no active row for the tenant "acme"'):
        await world.contributor().contribute(ACME)
    with pytest.raises(ContributorError, match="a turn without a tenant"):
        await world.contributor(default="default").contribute(ACME.replace(tenant=None))
    assert await world.contributor(optional=True).contribute(ACME) == ""


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Hi\n{{ prodct }}", "tenant_prompt_templates[\"acme\"]:2: 'prodct' is undefined; did you mean 'product'?"),
        ("{{ ''.__class__ }}", "templates have no `.__class__` of text"),
        ("{{ settings.__init__.__globals__ }}", "settings have no '__init__'"),
        ("{% include 'secrets.txt' %}", "there is no template 'secrets.txt'"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "units of work: loop over fewer items",
        ),
        ("{{ 'x' * 99999999 }}", "makes a text of more than"),
        ("Hi\n{% if %}", 'tenant_prompt_templates["acme"]:2: '),
        ("x" * 300_000, 'tenant_prompt_templates["acme"]: is longer than'),
    ],
    ids=["undefined", "class", "globals", "file", "loop", "long", "syntax", "source"],
)
async def test_a_template_that_is_faulty_or_reaches_out_fails_its_own_tenant(
    template: str, message: str, world: World
) -> None:
    await world.put("acme", template)
    await world.put("other", "Fine.")
    templates = world.contributor()
    with pytest.raises(ContributorError) as told:
        await templates.contribute(ACME)
    assert message in str(told.value)
    assert await templates.contribute(ACME.replace(tenant="other")) == "Fine."


async def test_after_a_faulty_change_the_last_good_template_stays_and_the_fault_is_reported(world: World) -> None:
    await world.put("acme", "Good.")
    templates = world.contributor(ttl_seconds=10)
    assert await templates.contribute(ACME) == "Good."
    await world.put("acme", "{% if %}")
    world.around.clock.time += 11
    assert await templates.contribute(ACME) == "Good."
    ((message, _),) = world.around.reports
    assert 'tenant_prompt_templates["acme"]' in message
    assert "the last good template stays in use" in message


def test_max_tokens_is_required() -> None:
    with pytest.raises(ValidationError, match="max_tokens"):
        contributor.Config(database="app")  # type: ignore[call-arg]


HEAVY = "{% for i in range(1500) %}{{ loop.index }} {{ session }}{% endfor %}"


async def test_a_tenant_whose_template_takes_long_waits_and_no_other_does(world: World) -> None:
    await world.put("acme", HEAVY)
    await world.put("other", "Fine.")
    templates, clock = world.contributor(), world.around.clock
    begun = clock.time
    await templates.contribute(ACME)
    await templates.contribute(ACME.replace(tenant="other"))
    await templates.contribute(ACME.replace(tenant="other"))
    assert clock.time == begun
    await templates.contribute(ACME.replace(session="2"))
    assert 0.5 < clock.time - begun < 1.5


async def test_a_template_that_breaks_a_bound_makes_its_tenant_wait_too(world: World) -> None:
    await world.put("acme", HEAVY * 9)
    templates, clock = world.contributor(), world.around.clock
    begun = clock.time
    for _ in range(3):
        with pytest.raises(ContributorError, match="takes more than 20,000 units of work"):
            await templates.contribute(ACME)
    assert 2 < clock.time - begun < 3


async def test_turns_of_one_tenant_that_come_together_wait_one_after_the_other(world: World) -> None:
    await world.put("acme", HEAVY)
    templates, clock = world.contributor(), world.around.clock
    begun = clock.time
    texts = await asyncio.gather(*(templates.contribute(ACME.replace(session=str(n))) for n in range(5)))
    assert len(set(texts)) == 5
    assert clock.time - begun > 4 * 0.5


async def test_a_template_does_not_choose_how_long_its_error_is_or_takes(world: World) -> None:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" * 300
    await world.put("acme", f"{{% set key = '{letters}' %}}{{{{ dict(a=1, **{{key ~ 'a': 1, key ~ 'b': 2}})[key] }}}}")
    with pytest.raises(ContributorError, match="there is no key 'abc") as told:
        await world.contributor().contribute(ACME)
    assert len(str(told.value)) < 1200
