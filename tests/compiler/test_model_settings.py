"""Settings of one model: their layer, its origins, its faults, and the digest."""

from __future__ import annotations

import pytest

from tests.compiler.conftest import Compile, Programme
from victor_dsl.values.settings import Origin

SPEC = """\
victor: 1
name: support
models:
  main: {type: echo}
  spare:
    type: echo
    settings: {temperature: 1, max_tokens: 800, thinking: null}
settings: {model: main, fallbacks: [spare], temperature: 0.2}
tenants:
  acme:
    with:
      models:
        spare: {settings: {max_tokens: 300}}
variants:
  size:
    arms:
      control: {}
      short:
        with:
          models:
            spare: {settings: {stop: ["END"]}}
"""


def test_a_models_settings_are_a_layer_and_not_part_of_its_node(program: Programme) -> None:
    plan = program(SPEC).plan_for(None, {})
    assert plan.models["spare"].settings == {"temperature": 1.0, "max_tokens": 800, "thinking": None}
    assert plan.by_id["models/spare"].config.settings is None  # type: ignore[attr-defined]
    assert list(plan.models) == ["spare"]


def test_tenants_and_arms_change_a_models_settings_and_keep_their_lines(program: Programme) -> None:
    made = program(SPEC)
    layer = made.plan_for("acme", {"size": "short"}).models["spare"]
    assert layer.settings == {"temperature": 1.0, "max_tokens": 300, "thinking": None, "stop": ["END"]}
    assert layer.origins["settings.temperature"] == Origin("models/spare", "victor.yml", 7)
    assert layer.origins["settings.max_tokens"] == Origin("models/spare", "victor.yml", 13)
    assert layer.origins["settings.stop"] == Origin("models/spare", "victor.yml", 21)


def test_a_tenant_with_other_settings_shares_the_live_model(program: Programme) -> None:
    made = program(SPEC)
    base, acme = (made.plan_for(tenant, {}).by_id["models/spare"] for tenant in (None, "acme"))
    assert base.fingerprint == acme.fingerprint


def test_a_models_settings_count_in_the_digest(program: Programme) -> None:
    plans = [program(text).plan_for(None, {}) for text in (SPEC, SPEC.replace("800", "801"))]
    assert plans[0].digest != plans[1].digest
    assert program(SPEC).plan_for("acme", {}).digest != plans[0].digest
    assert program(SPEC.replace("800", " 800")).plan_for(None, {}).digest == plans[0].digest


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ("{temprature: 1}", "settings has no 'temprature'", "did you mean 'temperature'?"),
        ("{temperature: 3}", "settings.temperature must be at most 2, not 3", ""),
        ("{stop: x}", "settings.stop must be a list, not the text 'x'", "write it as a list: `[x]`"),
        ("{thinking: {type: enabled}}", "settings.thinking: `enabled` needs `budget_tokens`", ""),
        *(
            (f"{{{name}: {value}}}", f"a model has no '{name}' of its own", "write it in the spec's own `settings`")
            for name, value in (
                ("model", "main"),
                ("fallbacks", "[main]"),
                ("limits", "{}"),
                ("k", 3),
                ("max_tool_rounds", 1),
                ("threshold", 0.5),
                ("broken_stream", "hold"),
            )
        ),
    ],
)
def test_a_fault_is_reported_like_one_of_the_specs_settings(
    compile: Compile, settings: str, message: str, hint: str
) -> None:
    text = f"victor: 1\nname: s\nmodels:\n  spare:\n    type: echo\n    settings: {settings}\n"
    (fault,) = compile(text).diagnostics
    assert fault.message.startswith(message)
    assert hint in (fault.hint or "")
    assert (fault.span.line, fault.path[:3]) == (6, ("models", "spare", "settings"))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("temperature", "write it in the `settings` of this model"),
        ("thinking", "write it in the `settings` of this model"),
        ("fallbacks", "write it in the spec's own `settings`"),
        ("max_tool_rounds", "write it in the spec's own `settings`"),
    ],
)
def test_a_setting_that_is_written_on_the_model_itself_gets_its_place(compile: Compile, name: str, where: str) -> None:
    (fault,) = compile(f"victor: 1\nname: s\nmodels:\n  main: {{type: echo, {name}: 1}}\n").diagnostics
    assert (fault.code, fault.hint) == ("unknown-key", f"it is a setting: {where}")
    assert fault.message == f"models.main (echo) has no '{name}'"
