"""Who may set what while a spec runs: locks, tools that layers take away, and unknown tenants."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runtime.coordinators.test_config import Told, coordinator
from tests.runtime.stage import Layers, Stage
from victor_dsl.errors import ProviderError, Refused, RequestError, StoreError
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.rendering import origins
from victor_dsl.values.settings import Layer, Origin

SPEC = """
models: {main: {type: echo}, spare: {type: echo}}
settings: {model: main, limits: {concurrency: 3, tools: {deny: [rm, sudo*]}}}
vars: {legal: Be lawful., brand: {year: 2020}}
locked: [settings.model, vars.legal, settings.limits.tools]
"""
ONE = SPEC + "providers: [given]\n"


@pytest.mark.parametrize(
    ("settings", "vars", "path"),
    [
        ({"model": "spare"}, {}, "settings.model"),
        ({"model": None}, {}, "settings.model"),
        ({"limits": None}, {}, "settings.limits"),
        ({"limits": {"tools": None}}, {}, "settings.limits.tools"),
        ({"limits": {"tools": {"allow": ["*"]}}}, {}, "settings.limits.tools.allow"),
        ({}, {"legal": None}, "vars.legal"),
        ({}, {"legal": "Do as you like."}, "vars.legal"),
    ],
)
async def test_what_a_provider_sets_of_what_is_locked_keeps_its_last_good_values(
    stage: Stage, settings: Any, vars: Any, path: str
) -> None:
    given = Layer("p", {"seed": 1})
    config = coordinator(stage, ONE, lambda turn: given)
    await config.settle(Told().turn)
    given, told = Layer("p", {"seed": 2, **settings}, vars), Told()
    turn = await config.settle(told.turn)
    assert (turn.settings.seed, turn.settings.model, turn.vars["legal"]) == (1, "main", "Be lawful.")
    [error] = told.errors
    assert f"{path} is locked by '" in error["message"]
    assert "victor.yml:7); only the spec and what it extends may set it" in error["message"]
    with pytest.raises(ProviderError, match="is locked by"):
        await coordinator(stage, ONE, given).settle(Told().turn)


async def test_what_a_provider_sets_beside_a_lock_is_in_force(stage: Stage) -> None:
    layer = Layer("p", {"limits": {"concurrency": 1}}, {"brand": {"year": 2021}, "extra": 1})
    turn = await coordinator(stage, ONE, layer).settle(Told().turn)
    assert (turn.settings.limits.concurrency, turn.vars["brand"], turn.vars["extra"]) == (1, {"year": 2021}, 1)


@pytest.mark.parametrize(
    ("request_of", "path"),
    [
        ({"vars": {"legal": "x"}}, "vars.legal"),
        ({"vars": {"legal": None}}, "vars.legal"),
        ({"settings": {"limits": {"tools": {"deny": []}}}}, "settings.limits.tools.deny"),
        ({"settings": {"limits": {"tools": None}}}, "settings.limits.tools"),
    ],
)
async def test_a_request_cannot_set_what_is_locked(stage: Stage, request_of: Any, path: str) -> None:
    config = coordinator(stage, SPEC + "request: [limits]\n")
    with pytest.raises(RequestError, match=f"{path} is locked; only the spec and what it extends may set it"):
        await config.settle(Told(**request_of).turn)


async def test_a_lock_holds_for_requests_that_may_otherwise_set_it(stage: Stage) -> None:
    config = coordinator(stage, SPEC.replace("settings.model", "settings.temperature"))
    with pytest.raises(RequestError, match=r"settings\.temperature is locked"):
        await config.settle(Told(settings={"temperature": 0.1}).turn)
    await config.settle(Told(settings={"temperature": None, "seed": 1}).turn)  # clients send null for the default


LAYERS = """
models: {main: {type: echo}}
settings: {limits: {tools: {deny: [rm], allow: ["git_*", ls, rm]}}}
providers: [{type: given, name: low, priority: 10}, {type: given, name: high, priority: 90}]
request: [limits]
unknown_tenants: base
tenants: {acme: {with: {settings: {limits: {tools: {deny: [git_push]}}}}}}
"""


async def test_denied_tools_of_all_layers_add_up_and_allowed_ones_narrow(stage: Stage) -> None:
    low = Layer("low", {"limits": {"tools": {"deny": ["rm", "cat"], "allow": ["*_log", "ls"]}}})
    high = Layer("high", {"limits": None})
    wanted = {"limits": {"tools": {"deny": ["git_log"], "allow": ["*"]}}}
    config = coordinator(stage, LAYERS, low, high, tenant="acme")
    turn = await config.settle(Told("acme", settings=wanted).turn)
    tools = turn.settings.limits.tools
    assert tools is not None
    assert tools.deny == ("rm", "cat", "git_push", "git_log")
    assert tools.allow == ("ls", "git_* & *_log")
    file = str(stage.folder / "victor.yml")
    found = origins(turn)
    assert found["settings.limits.tools.deny"] == Origin(
        "request",
        layers=(
            Origin("spec", file, 5),
            Origin("low"),
            Origin("tenant acme", file, 9),
            Origin("request"),
        ),
    )
    assert [origin.source for origin in found["settings.limits.tools.allow"].layers] == ["spec", "low", "request"]
    assert found["settings.limits.tools.allow"].as_json()["layers"][0] == {"source": "spec", "file": file, "line": 5}


@pytest.mark.parametrize(
    "nulls",
    [
        {"limits": None},
        {"limits": {"tools": None}},
        {"limits": {"tools": {"deny": None, "allow": None}}},
        {"limits": {"tools": {}}},
        {"limits": {}},
    ],
)
async def test_null_gives_no_tool_back(stage: Stage, nulls: Any) -> None:
    turn = await coordinator(stage, LAYERS, Layer("low", nulls), Layer("high", nulls)).settle(Told().turn)
    tools = turn.settings.limits.tools
    assert tools is not None
    assert (tools.deny, tools.allow) == (("rm",), ("git_*", "ls", "rm"))
    found = origins(turn)["settings.limits.tools.deny"]
    assert (found.source, found.layers) == ("spec", ())


async def test_a_layer_of_tools_alone_is_as_it_is_written(stage: Stage) -> None:
    spec = LAYERS.replace('settings: {limits: {tools: {deny: [rm], allow: ["git_*", ls, rm]}}}\n', "")
    low = Layer("low", {"limits": {"concurrency": 2, "tools": {"deny": None, "allow": []}}})
    turn = await coordinator(stage, spec, low, Layer("high", {"limits": {"tools": {"allow": ["a"]}}})).settle(
        Told().turn
    )
    limits = turn.settings.limits
    assert limits.tools is not None
    assert (limits.concurrency, limits.tools.deny, limits.tools.allow) == (2, None, ())


async def test_lists_that_cannot_be_combined_are_an_error_with_their_path(stage: Stage) -> None:
    config = coordinator(
        stage,
        LAYERS,
        Layer("low", {"limits": {"tools": {"allow": [f"git_{i}*" for i in range(200)]}}}),
        Layer("high", {"limits": {"tools": {"allow": [f"*{i}" for i in range(200)]}}}),
    )
    with pytest.raises(ProviderError, match=r"settings\.limits\.tools\.allow: the globs of two layers are too many"):
        await config.settle(Told().turn)
    fine = coordinator(stage, LAYERS, Layer("low"), Layer("high"))
    with pytest.raises(RequestError, match=r"settings\.limits\.tools\.deny must be a list"):
        await fine.settle(Told(settings={"limits": {"tools": {"deny": 5}}}).turn)


KNOWN = """
models: {main: {type: echo}}
providers: [given]
unknown_tenants: %s
tenants: {acme: {with: {settings: {seed: 1}}}}
"""


class Rows(Layers):
    """A provider that knows some tenants."""

    def __init__(self, known: Any) -> None:
        super().__init__(Layer("p"))
        self.known = known

    async def knows(self, tenant: str) -> bool:
        if isinstance(self.known, BaseException):
            raise self.known
        return tenant in self.known


def with_rows(stage: Stage, spec: str, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> ConfigCoordinator:
    plan = stage.program(spec).plan_for(None, {})
    node = plan.by_id["providers/given"]
    monkeypatch.setattr(type(node.config), "knows_tenants", True)
    return ConfigCoordinator(plan, [(node, rows)])


async def test_a_tenant_that_nobody_knows_is_refused_with_the_nearest(stage: Stage) -> None:
    config = coordinator(stage, KNOWN % "refuse", Layer("p"))
    with pytest.raises(Refused) as raised:
        await config.settle(Told("acne").turn)
    assert str(raised.value) == "there is no tenant 'acne' (did you mean 'acme'? tenants: acme)"
    assert (await config.settle(Told().turn)).settings.seed is None
    acme = coordinator(stage, KNOWN % "refuse", Layer("p"), tenant="acme")
    assert (await acme.settle(Told("acme").turn)).settings.seed == 1


async def test_a_caller_who_is_not_trusted_learns_no_other_tenants(stage: Stage) -> None:
    keys = "middleware: [{type: auth, keys: keys.yml}]\n"
    (stage.folder / "keys.yml").write_text("[]")
    with pytest.raises(Refused) as raised:
        await coordinator(stage, KNOWN % "refuse" + keys, Layer("p")).settle(Told("acne" * 100).turn)
    assert str(raised.value) == f"there is no tenant '{'acne' * 20}'"


async def test_by_default_an_unknown_tenant_has_the_base(stage: Stage) -> None:
    for spec in (KNOWN % "base", (KNOWN % "base").replace("unknown_tenants: base\n", "")):
        assert (await coordinator(stage, spec, Layer("p")).settle(Told("acne").turn)).settings.seed is None


async def test_a_provider_may_know_a_tenant(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_rows(stage, KNOWN % "refuse", Rows({"north"}), monkeypatch)
    assert (await config.settle(Told("north").turn)).settings.seed is None
    with pytest.raises(Refused, match="there is no tenant 'south'"):
        await config.settle(Told("south").turn)


async def test_while_a_provider_cannot_say_so_an_unknown_tenant_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = with_rows(stage, KNOWN % "refuse", Rows(StoreError("the database is away")), monkeypatch)
    with pytest.raises(ProviderError, match="the database is away"):
        await config.settle(Told("north").turn)


async def test_what_an_optional_provider_sets_of_what_is_locked_is_left_out(stage: Stage) -> None:
    optional = SPEC + "providers: [{type: given, optional: true}]\n"
    told = Told()
    config = coordinator(stage, optional, Layer("p", {"seed": 2, "model": "spare"}, {"legal": None, "extra": 1}))
    turn = await config.settle(told.turn)
    assert (turn.settings.seed, turn.settings.model) == (2, "main")
    assert (turn.vars["legal"], turn.vars["extra"]) == ("Be lawful.", 1)
    assert "settings.model is locked" in told.errors[0]["message"]
