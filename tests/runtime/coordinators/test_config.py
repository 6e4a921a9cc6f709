"""The values in force: their layers, their checks, the last good ones."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import evolve

from tests.runtime.stage import Layers, Stage
from victor_dsl.errors import ProviderError, Refused, RequestError
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.rendering import origins
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Layer, Origin
from victor_dsl.values.turn import Turn

SPEC = """
models: {main: {type: echo}, spare: {type: echo}}
settings: {model: main, temperature: 0.1, max_tokens: 100, limits: {concurrency: 3}}
vars: {product: Acme, colours: {sky: blue, sea: green}}
"""
GIVEN = SPEC + "providers: [{type: given, name: low, priority: 10}, {type: given, name: high, priority: 90}]\n"
ONE = SPEC + "providers: [given]\n"


class Told:
    """A turn of a request, and the errors it recorded."""

    def __init__(self, tenant: str | None = None, **request: Any) -> None:
        self.errors: list[dict[str, Any]] = []
        self.turn = Turn(
            "t",
            "s",
            (),
            tenant=tenant,
            request=Request(message="x", **request),
            record=lambda _, data: self.errors.append(dict(data)),
        )


def coordinator(stage: Stage, spec: str, *given: Any, tenant: str | None = None) -> ConfigCoordinator:
    plan = stage.program(spec).plan_for(tenant, {})
    nodes = [plan.by_id[id] for id in plan.roles.providers]
    return ConfigCoordinator(plan, list(zip(nodes, [Layers(gives) for gives in given], strict=True)))


async def test_a_higher_layer_wins_and_maps_merge_deep(stage: Stage) -> None:
    low = Layer(
        "low", {"temperature": 0.3, "top_p": 0.5, "limits": {"cost_usd_per_day": 2}}, {"colours": {"sky": "grey"}}
    )
    high = Layer("high", {"temperature": 0.7, "stop": ["END"]})
    turn = await coordinator(stage, GIVEN, low, high).settle(Told().turn)
    settings = turn.settings
    assert (settings.model, settings.temperature, settings.top_p, settings.stop) == ("main", 0.7, 0.5, ("END",))
    assert (settings.limits.concurrency, settings.limits.cost_usd_per_day) == (3, 2.0)
    assert turn.vars == {"product": "Acme", "colours": {"sky": "grey", "sea": "green"}}


async def test_tenants_and_requests_stand_above_the_providers(stage: Stage) -> None:
    spec = ONE + "tenants: {acme: {with: {settings: {temperature: 0.5, seed: 1}}}}"
    layer = Layer("p", {"temperature": 0.9, "seed": 9, "top_p": 0.9})
    config = coordinator(stage, spec, layer, tenant="acme")
    settings = (await config.settle(Told(settings={"seed": 2, "stop": ["x"]}).turn)).settings
    assert (settings.temperature, settings.seed, settings.top_p, settings.stop) == (0.5, 2, 0.9, ("x",))


async def test_null_means_not_set(stage: Stage) -> None:
    turn = await coordinator(stage, ONE, Layer("p", {"temperature": None, "max_tokens": None})).settle(Told().turn)
    assert (turn.settings.temperature, turn.settings.max_tokens) == (None, None)


async def test_the_same_layers_are_settled_once(stage: Stage) -> None:
    config = coordinator(stage, ONE, Layer("p", {"seed": 1}))
    one, two = await config.settle(Told().turn), await config.settle(Told().turn)
    assert one.settings is two.settings
    assert one.vars is two.vars


async def test_the_hash_of_the_values_changes_with_them(stage: Stage) -> None:
    layer = Layer("p", {"seed": 1})
    config = coordinator(stage, ONE, lambda turn: layer)
    hashes = []
    for given in (Layer("p", {"seed": 1}), Layer("p", {"seed": 1}), Layer("p", {}, {"product": "Other"})):
        layer = given
        hashes.append((await config.settle(Told().turn)).trace.values)
    requested = (await config.settle(Told(settings={"seed": 4}).turn)).trace.values
    assert hashes[0] == hashes[1]
    assert len({*hashes, requested}) == 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temprature": 1}, "settings has no 'temprature'; did you mean 'temperature'?"),
        ({"temperature": True}, "settings.temperature must be a number, not true or false"),
        ({"temperature": math.nan}, "settings.temperature must be a finite number"),
        ({"temperature": 3}, "settings.temperature must be at most 2"),
        ({"max_tokens": 1.5}, "settings.max_tokens must be a whole number, not a fraction"),
        ({"stop": "x"}, "settings.stop must be a list, not text"),
        ({"limits": {"tools": {"deny": [3]}}}, "settings.limits.tools.deny[0] must be text, not a number"),
        ({"model": "mian"}, "settings.model: models has no 'mian'; did you mean 'main'?"),
        ({"fallbacks": ["spare", "spair"]}, "settings.fallbacks[1]: models has no 'spair'; did you mean 'spare'?"),
        ({"thinking": {}}, "settings.thinking: `enabled` needs `budget_tokens`"),
    ],
)
async def test_a_bad_value_is_told_with_its_path_and_place(stage: Stage, settings: Any, told: str) -> None:
    place = Origin("providers/given", "values.yml", 3)
    layer = Layer("p", settings, origins={f"settings.{key}": place for key in settings})
    with pytest.raises(ProviderError) as raised:
        await coordinator(stage, ONE, layer).settle(Told().turn)
    message = str(raised.value)
    assert told in message
    assert "values.yml:3: settings" in message
    assert raised.value.node == "providers/given"
    assert "victor.yml:7" in message


async def test_every_fault_of_a_layer_is_told_at_once(stage: Stage) -> None:
    layer = Layer("p", {"temperature": "hot", "seed": "x"}, {"a": {1: 2}, "b": math.inf})
    with pytest.raises(ProviderError) as raised:
        await coordinator(stage, ONE, layer).settle(Told().turn)
    for path in ("settings.temperature", "settings.seed", "vars.a", "vars.b"):
        assert path in str(raised.value)


@pytest.mark.parametrize(
    "fault", [ProviderError("cannot read it"), KeyError("oops"), Layer("p", {"seed": "x"}), "not a layer", None]
)
async def test_the_last_good_layer_holds_while_a_provider_is_at_fault(stage: Stage, fault: Any) -> None:
    given: Any = Layer("p", {"seed": 1})
    config = coordinator(stage, ONE, lambda turn: given)
    await config.settle(Told().turn)
    given, told = fault, Told()
    for _ in range(3):
        assert (await config.settle(told.turn)).settings.seed == 1
    [error] = told.errors  # once, not three times
    assert (error["code"], error["node"]) == ("provider", "providers/given")
    given, again = Layer("p", {"seed": 2}), Told()
    assert (await config.settle(again.turn)).settings.seed == 2
    given = fault
    await config.settle(again.turn)
    assert len(again.errors) == 1


async def test_each_distinct_fault_is_told(stage: Stage) -> None:
    given: Any = Layer("p", {"seed": 1})
    config = coordinator(stage, ONE, lambda turn: given)
    await config.settle(Told().turn)
    told = Told()
    for text in ("one", "one", "two"):
        given = ProviderError(text)
        await config.settle(told.turn)
    assert [error["message"].rpartition(": ")[2] for error in told.errors] == ["one", "two"]


async def test_a_tenants_bad_layer_does_not_fall_back_on_another_tenants(stage: Stage) -> None:
    given: Any = {"a": Layer("p", {"seed": 1}), "b": ProviderError("no row")}
    config = coordinator(stage, ONE, lambda turn: given[turn.tenant])
    assert (await config.settle(Told("a").turn)).settings.seed == 1
    with pytest.raises(ProviderError, match="no row"):
        await config.settle(Told("b").turn)


async def test_a_tenant_that_was_refused_never_gets_its_last_good_values(stage: Stage) -> None:
    given: Any = Layer("p", {"seed": 1})
    config = coordinator(stage, ONE, lambda turn: given)
    await config.settle(Told("acme").turn)
    given = Refused("the tenant 'acme' is not active")
    with pytest.raises(Refused):
        await config.settle(Told("acme").turn)
    given = ProviderError("the database does not answer")
    with pytest.raises(ProviderError, match="does not answer"):
        await config.settle(Told("acme").turn)


async def test_one_tenants_bad_layer_does_not_slow_the_others(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    given: Any = {"good": Layer("p", {"seed": 1}), "bad": Layer("p", {"seed": 2})}
    config = coordinator(stage, ONE, lambda turn: given[turn.tenant])
    for tenant in given:
        await config.settle(Told(tenant).turn)
    given["bad"] = ProviderError("no row")
    await config.settle(Told("bad").turn)

    def check(*_: Any) -> None:
        raise AssertionError("a layer that is known to be good is checked again")

    monkeypatch.setattr(config._provided, "_read_layer", check)
    told = Told("good")
    assert (await config.settle(told.turn)).settings.seed == 1
    assert not told.errors


async def test_an_optional_provider_may_be_missing(stage: Stage) -> None:
    told = Told()
    spec = SPEC + "providers: [{type: given, optional: true}]"
    turn = await coordinator(stage, spec, ProviderError("no file")).settle(told.turn)
    assert turn.settings.temperature == 0.1
    assert len(told.errors) == 1


@pytest.mark.parametrize(
    ("layer", "temperature", "colours"),
    [
        (Layer("p", {"temperature": 0.5}, {"product": 5, "colours": {"sky": 1, "sea": "red"}}), 0.5, "red"),
        (Layer("p", {"temperature": "hot"}, {"colours": {"sea": "red"}}), 0.1, "red"),
        (Layer("p", {"stop": ["a", 1], "temperature": 0.5}), 0.5, "green"),
        (Layer("p", {"temperature": "hot"}), 0.1, "green"),
        (None, 0.1, "green"),
    ],
)
async def test_one_bad_value_of_an_optional_provider_leaves_the_good_ones(
    stage: Stage, caplog: pytest.LogCaptureFixture, layer: Any, temperature: float, colours: str
) -> None:
    told = Told()
    config = coordinator(stage, SPEC + "providers: [{type: given, optional: true}]", layer)
    turn = await config.settle(told.turn)
    assert (turn.settings.temperature, turn.vars["colours"]["sea"]) == (temperature, colours)
    assert (turn.vars["product"], turn.settings.stop) == ("Acme", None)
    assert len(told.errors) == 1
    if layer is not None:
        assert "in force: " in caplog.text
    assert (await config.settle(told.turn)).settings is turn.settings
    assert len(told.errors) == 1


async def test_one_bad_value_of_another_provider_is_an_error(stage: Stage) -> None:
    with pytest.raises(ProviderError, match="temperature must be a number"):
        await coordinator(stage, ONE, Layer("p", {"temperature": "hot", "seed": 1})).settle(Told().turn)


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"settings": {"model": "spare"}}, "a request may not set settings.model"),
        ({"settings": {"temprature": 1}}, "a request may not set settings.temprature; did you mean 'temperature'?"),
        ({"settings": {"max_tokens": 101}}, "a request may only lower settings.max_tokens; 100 is in force"),
        ({"settings": {"temperature": "hot"}}, "settings.temperature must be a number, not text"),
        ({"vars": {"prodct": "x"}}, "vars.prodct is not declared; did you mean 'product'?"),
        ({"vars": {"product": math.nan}}, "vars.product must be a finite number"),
    ],
)
async def test_what_a_request_may_not_set_is_told_by_name(stage: Stage, request_: Any, told: str) -> None:
    with pytest.raises(RequestError) as raised:
        await coordinator(stage, SPEC).settle(Told(**request_).turn)
    assert told in str(raised.value)


async def test_a_request_may_set_what_the_spec_lets_it(stage: Stage) -> None:
    config = coordinator(stage, SPEC + "request: [model]")
    turn = await config.settle(Told(settings={"model": "spare", "max_tokens": 99, "top_p": None}).turn)
    assert (turn.settings.model, turn.settings.max_tokens) == ("spare", 99)
    with pytest.raises(RequestError, match="models has no 'spar'"):
        await config.settle(Told(settings={"model": "spar"}).turn)


async def test_null_in_a_request_does_not_lift_a_cap(stage: Stage) -> None:
    turn = await coordinator(stage, SPEC).settle(Told(settings={"max_tokens": None}).turn)
    assert turn.settings.max_tokens == 100


async def test_a_request_changes_vars_for_itself_alone(stage: Stage) -> None:
    config = coordinator(stage, SPEC)
    theirs = await config.settle(Told(vars={"colours": {"sky": "red"}}).turn)
    others = await config.settle(Told().turn)
    assert theirs.vars["colours"] == {"sky": "red", "sea": "green"}
    assert others.vars["colours"] == {"sky": "blue", "sea": "green"}


async def test_where_there_is_one_model_it_need_not_be_named(stage: Stage) -> None:
    turn = await coordinator(stage, "models: {only: {type: echo}}").settle(Told().turn)
    assert turn.settings.model == "only"


async def test_every_value_in_force_knows_its_origin(stage: Stage) -> None:
    spec = ONE + "tenants: {acme: {with: {settings: {seed: 1}}}}"
    layer = Layer(
        "p", {"temperature": 0.4}, {"colours": {"sky": "grey"}}, {"settings.temperature": Origin("p", "v.yml", 2)}
    )
    config = coordinator(stage, spec, layer, tenant="acme")
    turn = await config.settle(Told(settings={"top_p": 0.5}).turn)
    found = origins(turn)
    spec_file = str(stage.folder / "victor.yml")
    assert found["settings.temperature"] == Origin("p", "v.yml", 2)
    assert found["settings.seed"] == Origin("tenant acme", spec_file, 8)
    assert found["settings.top_p"] == Origin("request")
    assert found["settings.limits.concurrency"] == Origin("spec", spec_file, 5)
    assert found["settings.max_tool_rounds"] == Origin("default")
    assert found["vars.colours.sky"] == Origin("p")
    assert found["vars.colours.sea"] == Origin("spec", spec_file, 6)


async def test_a_value_that_a_higher_layer_unsets_has_its_default_as_origin(stage: Stage) -> None:
    plan = stage.program(SPEC).plan_for(None, {})
    over = Layer("tenant x", {"limits": None, "max_tool_rounds": None})
    config = ConfigCoordinator(evolve(plan, overlays=(over,)), [])
    turn = await config.settle(Told().turn)
    found = origins(turn)
    assert "settings.limits.concurrency" not in found
    assert found["settings.max_tool_rounds"] == Origin("default")
    assert turn.settings.max_tool_rounds == 8


async def test_a_rendering_leaves_the_report_of_a_fault_to_the_next_turn(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    layer: Any = Layer("p", {"seed": 1})
    config = coordinator(stage, ONE, lambda turn: layer)
    await config.settle(Told().turn)
    layer = ProviderError("cannot read it")
    rendering, turn = Told(), Told()
    await config.settle(rendering.turn.replace(rendering=True))
    await config.settle(turn.turn)
    await config.settle(turn.turn)
    assert (rendering.errors, len(turn.errors)) == ([], 1)
    [line] = caplog.messages
    assert "providers/given: the last good values stay in force" in line


MODELS = """
models:
  main: {type: echo, settings: {temperature: 0.2, stop: [MAIN], thinking: {type: adaptive}}}
  spare: {type: echo, settings: {temperature: 1, max_tokens: 80, thinking: null}}
  plain: {type: echo}
settings: {model: main, fallbacks: [spare], temperature: 0.1, max_tokens: 100, thinking: {type: adaptive}, seed: 1}
providers: [given]
request: [model]
tenants: {acme: {with: {settings: {temperature: 0.5}}}, plain: {with: {settings: {model: plain}}}}
"""


async def test_a_models_settings_are_above_the_specs_and_below_all_others(stage: Stage) -> None:
    config = coordinator(stage, MODELS, Layer("p", {"stop": ["P"]}))
    turn = await config.settle(Told().turn)
    settings = turn.settings
    assert (settings.temperature, settings.stop, settings.max_tokens, settings.seed) == (0.2, ("P",), 100, 1)
    assert origins(turn)["settings.temperature"] == Origin(
        "models/main", turn.layers[0].origins["settings.model"].file, 5
    )
    acme = await coordinator(stage, MODELS, Layer("p"), tenant="acme").settle(Told("acme").turn)
    assert (acme.settings.temperature, acme.settings.stop) == (0.5, ("MAIN",))
    asked = await config.settle(Told(settings={"temperature": 0.9}).turn)
    assert asked.settings.temperature == 0.9


@pytest.mark.parametrize("settings", [{"model": "spare"}, {}])
async def test_they_are_those_of_the_model_in_force_whoever_chose_it(stage: Stage, settings: dict[str, Any]) -> None:
    layer = Layer("p", {} if settings else {"model": "spare"})
    turn = await coordinator(stage, MODELS, layer).settle(Told(settings=settings).turn)
    assert (turn.settings.model, turn.settings.temperature, turn.settings.max_tokens) == ("spare", 1.0, 80)
    assert turn.settings.thinking is None
    assert origins(turn)["settings.max_tokens"].source == "models/spare"


async def test_another_model_answers_with_its_own_settings(stage: Stage) -> None:
    config = coordinator(stage, MODELS, Layer("p", {"seed": 5}))
    turn = await config.settle(Told().turn)
    spare = config.for_model(turn, "spare").settings
    assert (spare.model, spare.temperature, spare.stop, spare.max_tokens, spare.seed) == ("spare", 1.0, None, 80, 5)
    assert spare.thinking is None
    plain = config.for_model(config.for_model(turn, "spare"), "plain").settings
    assert (plain.model, plain.temperature, plain.stop, plain.max_tokens) == ("plain", 0.1, None, 100)
    back = config.for_model(config.for_model(turn, "spare"), "main")
    assert (back.settings, back.layers) == (turn.settings, turn.layers)


async def test_what_middleware_changed_stays_with_another_model(stage: Stage) -> None:
    config = coordinator(stage, MODELS, Layer("p"))
    turn = await config.settle(Told().turn)
    changed = turn.replace(settings=turn.settings.replace(temperature=0.77, k=3, tool_choice="none"))
    spare = config.for_model(changed, "spare").settings
    assert (spare.temperature, spare.k, spare.tool_choice, spare.max_tokens) == (0.77, 3, "none", 80)


async def test_a_requests_values_stay_above_and_its_limit_below_another_models(stage: Stage) -> None:
    config = coordinator(stage, MODELS, Layer("p"))
    turn = await config.settle(Told(settings={"temperature": 0.9, "max_tokens": 90}).turn)
    spare = config.for_model(turn, "spare").settings
    assert (turn.settings.max_tokens, spare.temperature, spare.max_tokens) == (90, 0.9, 80)
    lower = await config.settle(Told(settings={"max_tokens": 40}).turn)
    assert config.for_model(lower, "spare").settings.max_tokens == 40


async def test_a_members_settings_are_above_its_pools(stage: Stage) -> None:
    config = coordinator(stage, MODELS, Layer("p"))
    turn = await config.settle(Told().turn)
    member = config.for_model(turn, "main", "spare").settings
    assert (member.model, member.temperature, member.stop, member.thinking) == ("main", 1.0, ("MAIN",), None)
    assert config.for_model(config.for_model(turn, "main", "spare"), "main").settings == turn.settings


TYPED = """
models: {main: {type: echo}}
vars: {beta: false, seats: 3, tags: [a], free: null}
"""


@pytest.mark.parametrize(
    ("vars", "read"),
    [
        ({"beta": "true", "seats": "5", "tags": "x, y"}, {"beta": True, "seats": 5, "tags": ["x", "y"]}),
        ({"free": {"a": 1}}, {"free": {"a": 1}}),
        ({"seats": None}, {}),
    ],
)
async def test_vars_of_providers_and_requests_are_read_as_the_spec_declares_them(
    stage: Stage, vars: Any, read: Any
) -> None:
    declared = {"beta": False, "seats": 3, "tags": ["a"], "free": None}
    expected = {**declared, **vars, **read}
    expected = {name: value for name, value in expected.items() if value is not None or name == "free"}
    provided = await coordinator(stage, TYPED + "providers: [given]\n", Layer("p", {}, vars)).settle(Told().turn)
    requested = await coordinator(stage, TYPED).settle(Told(vars=vars).turn)
    assert provided.vars == expected
    assert requested.vars == expected
    assert type(provided.vars["beta"]) is bool


async def test_a_providers_vars_are_read_once(stage: Stage) -> None:
    config = coordinator(stage, TYPED + "providers: [given]\n", Layer("p", {}, {"beta": "true"}))
    assert (await config.settle(Told().turn)).vars is not None
    assert (await config.settle(Told().turn)).layers == (await config.settle(Told().turn)).layers


async def test_a_var_of_another_type_keeps_the_last_good_values_and_names_its_source(stage: Stage) -> None:
    layer = Layer("p", {}, {"seats": "7"})
    config = coordinator(stage, TYPED + "providers: [given]\n", lambda turn: layer)
    await config.settle(Told().turn)
    layer = Layer("p", {}, {"seats": "many", "beta": "x"}, called={"vars.seats": "the variable APP_SEATS"})
    told = Told()
    assert (await config.settle(told.turn)).vars["seats"] == 7
    message = told.errors[0]["message"]
    assert (
        "its vars do not fit the spec: the variable APP_SEATS must be a whole number, as the spec declares it"
        in message
    )
    assert "vars.beta must be true or false" in message
    assert "many" not in message


async def test_a_fault_of_a_layer_with_a_name_says_the_name_instead_of_the_providers_place(stage: Stage) -> None:
    layer = Layer("p", {}, {"seats": "many"}, name='the row of "acme"')
    with pytest.raises(ProviderError, match=r'^providers/given: the row of "acme": its vars do not fit the spec: '):
        await coordinator(stage, TYPED + "providers: [given]\n", layer).settle(Told().turn)


async def test_a_request_of_another_type_is_refused(stage: Stage) -> None:
    with pytest.raises(
        RequestError, match=r"vars\.seats must be a whole number.*vars\.beta must be true or false, not a list"
    ):
        await coordinator(stage, TYPED).settle(Told(vars={"seats": "x", "beta": []}).turn)
    with pytest.raises(RequestError, match=r"vars\.fre is not declared; did you mean 'free'"):
        await coordinator(stage, TYPED).settle(Told(vars={"fre": 1}).turn)


async def test_lists_of_all_layers_are_joined_where_they_add(stage: Stage) -> None:
    spec = (
        "models: {main: {type: echo}}\nsettings: {stop: [a]}\nvars: {tags: [x]}\n"
        "providers: [{type: given, name: low, priority: 10}, {type: given, name: high, priority: 90}]\n"
        "tenants: {acme: {with: {settings: {+stop: [d]}}}}"
    )
    adds = frozenset({("settings", "stop"), ("vars", "tags")})
    low, high = (
        Layer("low", {"stop": ["b"]}, {"tags": ["y"]}),
        Layer("high", {"stop": ["c"]}, {"tags": "z, w"}, added=adds),
    )
    turn = await coordinator(stage, spec, low, high, tenant="acme").settle(Told().turn)
    assert (turn.settings.stop, turn.vars["tags"]) == (("b", "c", "d"), ["y", "z", "w"])
    found = origins(turn)["settings.stop"]
    assert (found.source, [origin.source for origin in found.layers]) == ("tenant acme", ["low", "high", "tenant acme"])
    assert found.as_json()["layers"][0] == {"source": "low", "file": None, "line": None}
    asked = await coordinator(stage, spec, low, high).settle(Told(settings={"stop": ["mine"]}).turn)
    assert (asked.settings.stop, origins(asked)["settings.stop"]) == (("mine",), Origin("request"))


async def test_a_list_is_not_added_to_what_another_provider_gave_as_text(stage: Stage) -> None:
    high = Layer(
        "high", {}, {"new": ["b"]}, {"vars.new": Origin("high", "settings.yml", 3)}, added=frozenset({("vars", "new")})
    )
    with pytest.raises(ProviderError, match=r"settings\.yml:3: vars\.new is text, so high cannot add a list to it"):
        await coordinator(stage, GIVEN, Layer("low", {}, {"new": "a"}), high).settle(Told().turn)
