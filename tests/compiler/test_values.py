"""Values: layers, settings written on their component, and the origin of each."""

from __future__ import annotations

import pytest

from tests.compiler.conftest import Compile, Programme, places
from victor_dsl.language.registry import Registry
from victor_dsl.values.settings import Origin

SPEC = """\
victor: 1
name: support
models: {main: {type: echo}}
middleware: [rate_limit]
settings:
  temperature: 0.7
  limits: {requests_per_minute: 60}
vars: {product: {name: Acme, plan: free}}
compaction: {type: recent, threshold: 0.6}
tool_selection: {type: keyword, k: 4}
tenants:
  acme: {with: {settings: {temperature: 0.2}, vars: {product: {plan: gold}}}}
variants:
  tone:
    arms:
      control: {}
      warm: {with: {settings: {temperature: 0.9}, tool_selection: {k: 9}}}
"""


def test_a_value_written_on_its_component_is_a_setting_of_that_layer(program: Programme) -> None:
    plan = program(SPEC).plan_for(None, {"tone": "warm"})
    assert (plan.spec.settings["threshold"], plan.spec.settings["k"]) == (0.6, 4)
    assert plan.overlays[-1].settings == {"temperature": 0.9, "k": 9}


def test_the_layers_over_the_spec_are_the_tenants_then_the_arms(program: Programme) -> None:
    plan = program(SPEC).plan_for("acme", {"tone": "warm"})
    assert [layer.source for layer in plan.overlays] == ["tenant acme", "arm tone.warm"]


def test_every_value_knows_the_line_that_wrote_it(program: Programme) -> None:
    plan = program(SPEC).plan_for("acme", {"tone": "warm"})
    assert plan.spec.origins["settings.temperature"] == Origin("spec", "victor.yml", 6)
    assert plan.spec.origins["settings.limits.requests_per_minute"] == Origin("spec", "victor.yml", 7)
    assert plan.spec.origins["settings.threshold"] == Origin("spec", "victor.yml", 9)
    tenant, arm = plan.overlays
    assert tenant.origins["vars.product.plan"] == Origin("tenant acme", "victor.yml", 12)
    assert arm.origins["settings.k"] == Origin("arm tone.warm", "victor.yml", 17)


def test_a_value_of_a_parent_knows_the_parents_line(program: Programme) -> None:
    made = program(
        "victor: 1\nname: support\nextends: base.yml\n",
        {"base.yml": "victor: 1\nname: base\nmodels: {main: {type: echo}}\nsettings:\n  seed: 1\n"},
    )
    assert made.plan_for(None, {}).spec.origins["settings.seed"] == Origin("spec", "base.yml", 5)


def test_a_layer_is_the_same_object_in_every_plan(program: Programme) -> None:
    made = program(SPEC)
    one, other = made.plan_for("acme", {"tone": "warm"}), made.plan_for("acme", {"tone": "control"})
    assert one.spec is other.spec
    assert one.overlays[0] is other.overlays[0]


def test_one_setting_in_two_places_with_two_values_is_a_fault(compile: Compile) -> None:
    text = SPEC.replace("temperature: 0.7", "threshold: 0.9")
    assert [(d.code, d.span.line, d.span.column) for d in compile(text).errors] == [("set-twice", 9, 39)]


def test_one_setting_in_two_places_with_one_value_is_none(program: Programme) -> None:
    program(SPEC.replace("temperature: 0.7", "threshold: 0.6"))


@pytest.mark.parametrize("written", ["settings: {k: 0}", "tool_selection: {type: keyword, k: 0}"])
def test_a_value_out_of_bounds_is_one_fault_wherever_it_is_written(compile: Compile, written: str) -> None:
    compilation = compile(f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\n{written}\n")
    assert [(d.code, d.span.line) for d in compilation.diagnostics] == [("wrong-value", 4)]


def test_model_and_fallbacks_name_models_also_in_overlays(compile: Compile) -> None:
    text = """\
        victor: 1
        name: support
        models: {main: {type: echo}}
        settings: {fallbacks: [spare]}
        tenants: {acme: {with: {settings: {model: mian}}}}
        variants: {m: {arms: {a: {}, b: {with: {settings: {model: other}}, weight: 0}}}}
        unknown_tenants: base
        """
    assert [(code, line) for code, _, line, _ in places(compile(text))] == [
        ("unknown-name", 4),
        ("unknown-name", 5),
        ("unknown-name", 6),
    ]


def test_equal_priority_lets_the_later_provider_win_and_the_earlier_contributor_come_first(program: Programme) -> None:
    plan = program("""\
        victor: 1
        name: support
        models: {main: {type: echo}}
        providers:
          - {type: inline, name: a, values: {}}
          - {type: inline, name: b, values: {}, priority: 10}
          - {type: inline, name: c, values: {}}
        contributors:
          - {type: text, name: a, text: x}
          - {type: text, name: b, text: x, priority: 70}
          - {type: text, name: c, text: x}
        """).plan_for(None, {})
    assert plan.roles.providers == ("providers/b", "providers/a", "providers/c")
    assert plan.roles.contributors == ("contributors/b", "contributors/a", "contributors/c")


def test_a_request_may_name_further_settings_that_exist(program: Programme, compile: Compile) -> None:
    text = "victor: 1\nname: s\nmodels: {main: {type: echo}}\nrequest: [model]\n"
    assert program(text).plan_for(None, {}).request == frozenset({"model"})
    assert [d.code for d in compile(text.replace("[model]", "[modle]")).diagnostics] == ["unknown-name"]


TWO_MODELS = "victor: 1\nname: s\nmodels: {a: {type: echo}, b: {type: echo}}\n"


@pytest.mark.parametrize(
    "choosing",
    [
        "settings: {model: a, fallbacks: [b]}",
        'settings: {model: "${env:MODEL}"}',
        "providers: [{type: inline, values: {settings: {model: a}}}]",
        "providers: [{type: env, prefix: S_}]",
        "request: [model]",
    ],
)
def test_of_several_models_one_may_be_chosen_in_many_places(compile: Compile, choosing: str) -> None:
    assert "no-model" not in [d.code for d in compile(f"{TWO_MODELS}{choosing}\n").diagnostics]


@pytest.mark.parametrize(
    "leaving_open",
    ["", "settings: {model: null}", "providers: [{type: inline, values: {settings: {seed: 1}}}]"],
)
def test_several_models_of_which_none_is_chosen_are_a_fault(compile: Compile, leaving_open: str) -> None:
    assert [d.code for d in compile(f"{TWO_MODELS}{leaving_open}\n").diagnostics] == ["no-model"]


def test_an_overlay_that_adds_a_second_model_must_choose(compile: Compile) -> None:
    text = "victor: 1\nname: s\nmodels: {a: {type: echo}}\ntenants: {acme: {with: {models: {b: {type: echo}}}}}\nunknown_tenants: base\n"
    (found,) = compile(text).diagnostics
    assert (found.code, "tenant acme" in found.message) == ("no-model", True)


VARS = """\
victor: 1
name: support
models: {main: {type: echo}, b: {type: echo}, c: {type: echo}}
vars: {beta: "${env:BETA:-false}", seats: 3, free: null, brand: {year: "${env:YEAR:-2020}"}, far: "${env:FAR}"}
settings: {model: main, fallbacks: "${env:FALLBACKS:-b, c}", stop: "${env:STOP:-x}"}
"""


@pytest.mark.parametrize(
    ("environment", "vars"),
    [
        ({}, {"beta": False, "brand": {"year": 2020}}),
        ({"BETA": "", "YEAR": ""}, {"beta": False, "brand": {"year": 2020}}),
        ({"BETA": "true", "YEAR": "1999"}, {"beta": True, "brand": {"year": 1999}}),
    ],
)
def test_a_variable_is_of_the_type_of_its_default(
    program: Programme, environment: dict[str, str], vars: dict[str, object]
) -> None:
    layer = program(VARS, environment={"FAR": "7", **environment}).plan_for(None, {}).spec
    assert {name: layer.vars[name] for name in vars} == vars
    assert layer.vars["far"] == "7"


def test_one_variable_holds_a_list_of_settings(program: Programme) -> None:
    layer = program(VARS, environment={"FAR": "7", "STOP": '["x, y"]'}).plan_for(None, {}).spec
    assert layer.settings["fallbacks"] == ["b", "c"]
    assert layer.settings["stop"] == ["x, y"]


@pytest.mark.parametrize(
    ("item", "text", "field", "value"),
    [
        ("contributors: [{type: tech_stack, stack: V}]", "react, python", "stack", ["react", "python"]),
        ("middleware: [{type: redact, patterns: V}]", "email,phone", "patterns", ["email", "phone"]),
        ("middleware: [{type: redact, patterns: V}]", '["email"]', "patterns", ["email"]),
        ("tools: [{type: mcp, name: m, url: 'http://x.test/', allow: V}]", "read, find", "allow", ["read", "find"]),
        ("tools: [{type: mcp, name: m, url: 'http://x.test/', deny: V}]", "read", "deny", ["read"]),
        ("tools: [{type: mcp, name: m, url: 'http://x.test/', headers: V}]", '{"X-A": "b"}', "headers", {"X-A": "b"}),
        (
            "exporters: [{type: websocket, token: '${env:T}', origins: V}]",
            "http://a.test, http://b.test",
            "origins",
            ["http://a.test", "http://b.test"],
        ),
    ],
)
def test_one_variable_holds_a_list_or_a_map_of_a_component(
    compile: Compile, item: str, text: str, field: str, value: object
) -> None:
    spec = (
        f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\n{item.replace('V', chr(34) + '${env:V}' + chr(34))}\n"
    )
    compilation = compile(spec, environment={"V": text}, registry=Registry())
    assert [fault.message for fault in compilation.errors] == []
    assert compilation.program is not None
    configs = [node.config for node in compilation.program.plan_for(None, {}).nodes]
    assert [getattr(config, field) for config in configs if hasattr(config, field)] == [value]


def test_a_list_from_a_variable_is_checked_like_any_other(compile: Compile) -> None:
    spec = 'victor: 1\nname: s\nmodels: {main: {type: echo}}\nmiddleware: [{type: redact, patterns: "${env:V}"}]\n'
    (fault,) = compile(spec, environment={"V": "email, phon"}, registry=Registry()).errors
    assert (fault.code, fault.span.line) == ("wrong-value", 4)
    assert "phon" not in fault.message.replace("'phone'", "")


@pytest.mark.parametrize(
    ("more", "environment", "message", "place"),
    [
        ("", {"BETA": "yes"}, "vars.beta must be true or false, as its default", "victor.yml:4:14"),
        ("", {"YEAR": "x"}, "vars.brand.year must be a whole number, as its default", "victor.yml:4:72"),
        ("", {"FALLBACKS": "b, d"}, "models has no '${env:FALLBACKS:-b, c}'", "victor.yml:5:36"),
        (
            "tenants: {t: {with: {vars: {seats: '5'}}}}",
            {},
            "vars.seats must be a whole number, as the spec declares it",
            "victor.yml:6:36",
        ),
        (
            "tenants: {t: {with: {vars: {brand: {year: [1]}}}}}",
            {},
            "vars.brand.year must be a whole number, not a list, as the spec declares it",
            "victor.yml:6:43",
        ),
        (
            "tenants: {t: {with: {vars: {seats: '${env:SEATS}'}}}}",
            {"SEATS": "5.5"},
            "vars.seats must be a whole number, as the spec declares it",
            "victor.yml:6:36",
        ),
        (
            "providers: [{type: inline, values: {vars: {seats: many}}}]",
            {},
            "vars.seats must be a whole number, as the spec declares it",
            "victor.yml:6:51",
        ),
    ],
)
def test_a_var_that_does_not_fit_its_declaration_is_a_fault_where_it_is_written(
    compile: Compile, more: str, environment: dict[str, str], message: str, place: str
) -> None:
    found = compile(VARS + more, environment={"FAR": "7", **environment})
    assert [(fault.message, f"{fault.span.file}:{fault.span.line}:{fault.span.column}") for fault in found.errors] == [
        (message, place)
    ]


def test_a_template_sees_a_var_whose_variable_is_not_set_here(compile: Compile) -> None:
    assert not compile(VARS + "contributors: [{type: template, template: '{{ far }}'}]", environment={}).diagnostics


def test_a_template_asks_for_a_var_that_is_null(compile: Compile) -> None:
    found = compile(VARS + "contributors: [{type: template, template: '{{ free }}'}]", environment={})
    assert [(fault.severity, fault.message) for fault in found.diagnostics] == [
        ("warning", "a turn may have no free: its value is null")
    ]
    asked = "contributors: [{type: template, template: '{{ free | default(1) }}{% if free %}{{ free }}{% endif %}'}]"
    assert not compile(VARS + asked, environment={}).diagnostics


@pytest.mark.parametrize(
    ("more", "path", "place"),
    [
        ("vars: {a: .inf}", "vars.a", "victor.yml:4:11"),
        ("vars: {a: {b: [1, -.inf]}}", "vars.a.b[1]", "victor.yml:4:19"),
        ("vars: {a: 1}\nunknown_tenants: base\ntenants: {t: {with: {vars: {b: .nan}}}}", "vars.b", "victor.yml:6:32"),
        (
            "vars: {a: 1}\nvariants: {x: {arms: {y: {with: {vars: {b: [.inf]}}}, z: {}}}}",
            "vars.b[0]",
            "victor.yml:5:45",
        ),
        ("providers: [{type: inline, values: {vars: {a: .inf}}}]", "values.vars.a", "victor.yml:4:47"),
    ],
)
def test_vars_that_no_json_can_hold_are_refused_where_they_are_written(
    compile: Compile, more: str, path: str, place: str
) -> None:
    spec = f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\n{more}\n"
    (fault,) = compile(spec, registry=Registry()).errors
    assert fault.message.endswith(f"{path} must be a finite number")
    assert f"{fault.span.file}:{fault.span.line}:{fault.span.column}" == place


def test_vars_of_a_file_that_no_json_can_hold_are_refused(compile: Compile) -> None:
    spec = "victor: 1\nname: s\nmodels: {main: {type: echo}}\nproviders: [{type: file, path: s.yml}]\n"
    (fault,) = compile(spec, {"s.yml": "vars:\n  a: {b: .nan}\n"}, registry=Registry()).errors
    assert (fault.span.file, fault.span.line) == ("s.yml", 2)
    assert fault.message.endswith("vars.a.b must be a finite number")


@pytest.mark.parametrize(
    "overlay", ["tenants: {t: {with: W}}\nunknown_tenants: base", "variants: {x: {arms: {y: {with: W}, z: {}}}}"]
)
def test_a_map_from_one_variable_is_read_as_its_declaration_at_every_depth(compile: Compile, overlay: str) -> None:
    spec = "victor: 1\nname: s\nmodels: {main: {type: echo}}\nvars: {a: {on: false, n: [1], m: [{id: 1}]}}\n"
    spec += overlay.replace("W", '{vars: {a: "${env:A}"}}') + "\n"
    right = '{"on": "true", "n": "2, 3", "m": [{"id": "4"}]}'
    assert [fault.message for fault in compile(spec, environment={"A": right}).errors] == []
    (fault,) = compile(spec, environment={"A": '{"n": "x"}'}).errors
    assert fault.message.startswith("vars.a.n[0] must be a whole number")
