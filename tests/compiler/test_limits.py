"""Limits written on `rate_limit` are that layer's settings, under whatever name the item goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.graph.plan import Program
from victor_dsl.language.registry import Registry
from victor_dsl.values.settings import Origin

HEAD = "victor: 1\nname: s\nmodels: {main: {type: echo}}\n"
NAMED = "middleware: [{type: rate_limit, name: rates, requests_per_minute: 60, per: user}]\n"


def compilation(folder: Path, text: str) -> Compilation:
    path = folder / "victor.yml"
    path.write_text(HEAD + text, encoding="utf-8")
    return compile_spec(str(path), environment={}, registry=Registry(entry_points=False))


def program(folder: Path, text: str) -> Program:
    made = compilation(folder, text)
    assert made.program is not None, made.diagnostics
    return made.program


def test_a_limit_on_the_component_is_the_specs_setting_and_no_part_of_its_node(tmp_path: Path) -> None:
    plan = program(tmp_path, NAMED).plan_for(None, {})
    assert plan.spec.settings == {"limits": {"requests_per_minute": 60.0}}
    origin = Origin("spec", str(tmp_path / "victor.yml"), 4)
    assert plan.spec.origins["settings.limits.requests_per_minute"] == origin
    assert plan.by_id["middleware/rates"].config.requests_per_minute is None  # type: ignore[attr-defined]


def test_an_overlay_sets_it_by_the_items_name_and_shares_the_live_object(tmp_path: Path) -> None:
    text = NAMED + "tenants:\n  acme: {with: {middleware: {rates: {requests_per_minute: 5, concurrency: 1}}}}\n"
    made = program(tmp_path, text)
    base, acme = made.plan_for(None, {}), made.plan_for("acme", {})
    assert [layer.settings for layer in acme.overlays] == [{"limits": {"requests_per_minute": 5.0, "concurrency": 1}}]
    ids = ("middleware/rates",)
    assert [base.by_id[id].fingerprint for id in ids] == [acme.by_id[id].fingerprint for id in ids]


def test_a_null_in_an_overlay_takes_the_limit_away(tmp_path: Path) -> None:
    text = NAMED + "tenants: {acme: {with: {middleware: {rates: {requests_per_minute: null}}}}}\n"
    (layer,) = program(tmp_path, text).plan_for("acme", {}).overlays
    assert layer.settings == {"limits": {"requests_per_minute": None}}


def test_a_limit_in_two_places_with_two_values_is_a_fault(tmp_path: Path) -> None:
    found = compilation(tmp_path, NAMED + "settings: {limits: {requests_per_minute: 61}}\n").diagnostics
    assert [(d.code, d.span.line, d.path) for d in found] == [
        ("set-twice", 4, ("middleware", 0, "requests_per_minute"))
    ]
    assert (
        "middleware.0.requests_per_minute and settings.limits.requests_per_minute are the same setting"
        in found[0].message
    )
    assert compilation(tmp_path, NAMED + "settings: {limits: {requests_per_minute: 60}}\n").diagnostics == ()


def test_a_wrong_limit_is_one_fault_at_its_place(tmp_path: Path) -> None:
    found = compilation(tmp_path, "middleware: [{type: rate_limit, requests_per_minute: 0}]\n").diagnostics
    assert [(d.code, d.path) for d in found] == [("wrong-value", ("middleware", 0, "requests_per_minute"))]


def test_arms_that_set_it_in_different_places_disagree(tmp_path: Path) -> None:
    text = NAMED + (
        "variants:\n"
        "  a: {arms: {x: {with: {settings: {limits: {requests_per_minute: 1}}}}, y: {}}}\n"
        "  b: {arms: {x: {with: {middleware: {rates: {requests_per_minute: 2}}}}, y: {}}}\n"
    )
    assert [d.code for d in compilation(tmp_path, text).diagnostics] == ["arms-disagree"]


@pytest.mark.parametrize(
    "rest",
    [
        "settings: {limits: {requests_per_minute: 60}}\n",
        "settings: {limits: {concurrency: null}}\n",
        "tenants: {acme: {with: {settings: {limits: {tokens_per_minute: 9}}}}}\n",
        "tenants: {acme: {with: {middleware: {rate_limit: {concurrency: 2}}}}}\n",
        "providers: [{type: inline, values: {settings: {limits: {concurrency: 2}}}}]\n",
        "providers: [{type: env, prefix: S_}]\n",
    ],
    ids=[
        "settings",
        "lifted on purpose",
        "a tenant's settings",
        "a tenant's own",
        "a provider",
        "a provider at run time",
    ],
)
def test_a_limiter_may_have_its_limit_from_anywhere(tmp_path: Path, rest: str) -> None:
    codes = [d.code for d in compilation(tmp_path, f"middleware: [rate_limit]\n{rest}").diagnostics]
    assert "idle-limiter" not in codes


def test_a_limiter_without_any_limit_is_a_warning(tmp_path: Path) -> None:
    text = "middleware: [rate_limit]\nsettings: {limits: {tools: {deny: [x]}}}\n"
    [found] = compilation(tmp_path, text).diagnostics
    assert (found.code, found.severity, found.span.line) == ("idle-limiter", "warning", 4)
