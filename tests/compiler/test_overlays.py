"""Overlays: what tenants and arms may change, how, and where the faults of it stand."""

from __future__ import annotations

import pytest

from tests.compiler.conftest import Compile, Programme, places
from victor_dsl.compiler import Compilation
from victor_dsl.graph.plan import Plan

BASE = """\
victor: 1
name: support
models:
  main: {type: echo, context_window: 100000}
  spare: {type: echo, context_window: 100000}
settings: {model: main, fallbacks: [spare], thinking: {budget_tokens: 60}}
vars: {product: Acme, colours: {a: red, b: green}}
contributors:
  - {type: text, name: tone, text: Be brief., priority: 70, max_tokens: 9}
  - {type: text, name: aim, text: Help.}
  - {type: text, name: end, text: Good bye.}
compaction: {type: recent, threshold: 0.7, deadline_seconds: 2}
tool_selection: {type: keyword, k: 4}
middleware:
  - logging
  - auth
  - {type: cache, limit: 3}
  - retry
"""


def acme(overlay: str) -> str:
    """The base with a tenant `acme`; the overlay begins at line 22, column 7."""
    lines = "\n".join(f"      {line}" for line in overlay.splitlines())
    return f"{BASE}tenants:\n  acme:\n    with:\n{lines}\nunknown_tenants: base\n"


def texts(plan: Plan) -> list[str]:
    return [plan.by_id[id].config.text for id in plan.roles.contributors]  # type: ignore[attr-defined]


def test_maps_merge_deep_and_the_base_stays_as_it_is(program: Programme) -> None:
    made = program(acme("settings: {thinking: {budget_tokens: 9}}\nvars: {colours: {b: blue}}"))
    base, plan = made.plan_for(None, {}), made.plan_for("acme", {})
    assert base.overlays == ()
    assert [layer.settings for layer in plan.overlays] == [{"thinking": {"budget_tokens": 9}}]
    assert [layer.vars for layer in plan.overlays] == [{"colours": {"b": "blue"}}]
    assert base.spec is plan.spec


def test_a_section_written_as_a_map_changes_items_by_name(program: Programme) -> None:
    plan = program(acme("contributors: {aim: {text: Serve.}}")).plan_for("acme", {})
    assert texts(plan) == ["Be brief.", "Serve.", "Good bye."]


def test_fields_that_an_overlay_does_not_write_stay(program: Programme) -> None:
    node = program(acme("contributors: {tone: {text: Be kind.}}")).plan_for("acme", {}).by_id["contributors/tone"]
    assert (node.config.priority, node.config.max_tokens) == (70, 9)  # type: ignore[attr-defined]


def test_null_removes_an_item_and_a_new_name_with_a_type_is_added_last(program: Programme) -> None:
    overlay = "contributors: {aim: null, french: {type: text, text: En français.}}"
    assert texts(program(acme(overlay)).plan_for("acme", {})) == ["Be brief.", "Good bye.", "En français."]


def test_null_takes_a_field_back_to_its_default(program: Programme) -> None:
    plan = program(acme("contributors: {tone: {priority: null, max_tokens: null}}")).plan_for("acme", {})
    config = plan.by_id["contributors/tone"].config
    assert (config.priority, config.max_tokens) == (50, None)  # type: ignore[attr-defined]


def test_a_section_written_as_a_list_replaces_it(program: Programme) -> None:
    assert texts(program(acme("contributors: [{type: text, text: Only this.}]")).plan_for("acme", {})) == ["Only this."]


def test_an_items_name_is_its_type_where_it_has_none(program: Programme) -> None:
    plan = program(acme("middleware: {cache: {limit: 9}}")).plan_for("acme", {})
    assert plan.by_id["middleware/cache"].config.limit == 9  # type: ignore[attr-defined]


def test_a_name_that_is_not_there_is_a_fault_with_the_nearest_one(compile: Compile) -> None:
    compilation = compile(acme("contributors: {tune: {text: Be kind.}}"))
    assert places(compilation) == [("unknown-name", "victor.yml", 22, 22)]
    assert "did you mean 'tone'?" in str(compilation.diagnostics[0].hint)


def test_a_name_that_is_not_unique_is_a_fault(compile: Compile) -> None:
    text = acme("contributors: {text: {text: Be kind.}}").replace("name: tone, ", "").replace("name: aim, ", "")
    assert places(compile(text)) == [("ambiguous-name", "victor.yml", 22, 22)]


def test_another_type_drops_the_old_types_fields_and_keeps_the_kinds(program: Programme) -> None:
    plan = program(acme("contributors: {tone: {type: template, template: Hi.}}")).plan_for("acme", {})
    node = plan.by_id["contributors/tone"]
    assert (node.type, node.config.priority, node.config.max_tokens) == ("template", 70, 9)  # type: ignore[attr-defined]
    assert plan.roles.contributors[0] == "contributors/tone"


@pytest.mark.parametrize("over", ["extends", "tenant"])
def test_a_var_named_type_is_a_key_like_any_other(program: Programme, over: str) -> None:
    base, vars = (
        "victor: 1\nname: base\nmodels: {main: {type: echo}}\nvars: {order: {type: gold, price: 3}}\n",
        "{order: {type: iron}}",
    )
    if over == "extends":
        plan = program(f"victor: 1\nname: x\nextends: base.yml\nvars: {vars}\n", {"base.yml": base}).plan_for(None, {})
        assert plan.spec.vars == {"order": {"type": "iron", "price": 3}}
    else:
        plan = program(f"{base}tenants: {{acme: {{with: {{vars: {vars}}}}}}}\n").plan_for("acme", {})
        assert plan.overlays[0].vars_upon(plan.spec.vars) == {"order": {"type": "iron", "price": 3}}


def test_a_bare_word_drops_the_old_types_fields_and_keeps_the_kinds(program: Programme) -> None:
    made = program(acme("tool_selection: all"))
    assert made.plan_for("acme", {}).spec.settings["k"] == 4
    assert made.plan_for("acme", {}).by_id[made.plan_for("acme", {}).roles.tool_selection].type == "all"


def test_the_same_type_written_again_keeps_the_items_fields(program: Programme) -> None:
    plan = program(acme("compaction: {type: recent, threshold: 0.5}")).plan_for("acme", {})
    assert plan.by_id[plan.roles.compaction].config.deadline_seconds == 2  # type: ignore[attr-defined]


def test_a_tenant_may_change_a_models_fields_and_add_a_model(program: Programme) -> None:
    overlay = "models: {main: {context_window: 7000}, own: {type: echo}}\nsettings: {model: own}"
    plan = program(acme(overlay)).plan_for("acme", {})
    assert plan.by_id["models/main"].config.context_window == 7000  # type: ignore[attr-defined]
    assert plan.roles.models["own"] == "models/own"


@pytest.mark.parametrize(
    "overlay",
    [
        "victor: 1",
        "name: acme",
        "description: x",
        "extends: base.yml",
        "tests: []",
        "tenants: {}",
        "variants: {tone: {}}",
        "databases: {}",
        "exporters: []",
        "sessions: memory",
        "request: [model]",
        "middleware: {auth: null}",
        "middleware: {logging: {around: turn}}",
        "middleware: [auth]",
        "middleware: {second: {type: auth}}",
    ],
)
def test_what_is_one_for_everybody_may_not_be_touched(compile: Compile, overlay: str) -> None:
    compilation = compile(acme(overlay))
    assert [d.code for d in compilation.diagnostics] == ["untouchable"]
    assert compilation.diagnostics[0].span.line == 22


def test_an_arm_may_not_touch_variants_even_to_stay_out(compile: Compile) -> None:
    text = BASE + "variants: {tone: {arms: {a: {}, b: {with: {variants: {tone: null}}}}}}\n"
    assert [d.code for d in compile(text).diagnostics] == ["untouchable"]


def test_middleware_behind_auth_may_be_changed_and_replaced(program: Programme) -> None:
    changed = program(acme("middleware: {cache: null}")).plan_for("acme", {})
    assert [id for id, _ in changed.roles.middleware] == ["middleware/retry"]
    replaced = program(acme("middleware: [redact]")).plan_for("acme", {})
    assert replaced.roles.admission == ("middleware/logging", "middleware/auth")
    assert [id for id, _ in replaced.roles.middleware] == ["middleware/redact"]


def test_a_tenant_may_stay_out_of_an_experiment(program: Programme) -> None:
    text = acme("variants: {tone: null}") + "variants: {tone: {arms: {a: {}, b: {}}}}\n"
    assert program(text).opted_out == {"acme": frozenset({"tone"})}


def test_a_fault_in_a_tenants_overlay_stands_at_its_own_line(compile: Compile) -> None:
    compilation = compile(acme("contributors:\n  tone: {prioritty: 9}"))
    assert places(compilation) == [("unknown-key", "victor.yml", 23, 16)]
    assert compilation.diagnostics[0].as_json()["path"] == "/tenants/acme/with/contributors/tone/prioritty"


def test_a_wrong_value_that_a_tenant_sets_stands_at_its_own_line(compile: Compile) -> None:
    assert places(compile(acme("settings: {temperature: 9}"))) == [("wrong-value", "victor.yml", 22, 31)]
    assert places(compile(acme("compaction: {threshold: 9}"))) == [("wrong-value", "victor.yml", 22, 31)]


def test_what_a_type_change_leaves_missing_stands_at_the_change(compile: Compile) -> None:
    assert places(compile(acme("contributors: {tone: {type: file}}"))) == [("missing-key", "victor.yml", 22, 28)]


BOTH = (
    acme("models: {spare: null}")
    + """\
variants:
  model:
    arms:
      control: {}
      spare: {with: {settings: {model: spare, fallbacks: []}}}
"""
)


def test_a_fault_of_a_tenant_with_an_arm_stands_where_the_tenant_removes_what_both_need(compile: Compile) -> None:
    (fault,) = compile(BOTH).diagnostics
    assert (fault.code, fault.span.line) == ("unknown-name", 22)
    assert {related.span.line for related in fault.related} == {6, 28}


def test_an_arm_may_not_change_what_only_a_tenant_has(compile: Compile) -> None:
    """Everyone may be in an arm, also those for whom there is no such item."""
    text = acme("contributors: {own: {type: text, text: Mine.}}") + (
        "variants: {tone: {arms: {a: {}, b: {with: {contributors: {own: {text: Other.}}}}}}}\n"
    )
    assert [d.code for d in compile(text).errors] == ["unknown-name"]


def _disagreeing(first: str, second: str) -> str:
    return BASE + (
        f"variants:\n  one: {{arms: {{c: {{}}, x: {{with: {first}}}}}}}\n"
        f"  two: {{arms: {{c: {{}}, y: {{with: {second}}}}}}}\n"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{settings: {temperature: 0.1}}", "{settings: {temperature: 0.9}}"),
        ("{settings: {threshold: 0.1}}", "{compaction: {threshold: 0.9}}"),
        ("{contributors: {tone: {text: A}}}", "{contributors: {tone: {text: B}}}"),
        ("{contributors: {tone: null}}", "{contributors: {tone: {text: B}}}"),
        ("{contributors: []}", "{contributors: {tone: {text: B}}}"),
    ],
)
def test_arms_of_two_experiments_may_not_set_one_path_differently(compile: Compile, first: str, second: str) -> None:
    compilation: Compilation = compile(_disagreeing(first, second))
    found = [d for d in compilation.diagnostics if d.code == "arms-disagree"]
    assert [d.span.line for d in found] == [21]
    assert [related.span.line for related in found[0].related] == [20]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{settings: {temperature: 0.1}}", "{settings: {temperature: 0.1}}"),
        ("{settings: {temperature: 0.1}}", "{settings: {max_tokens: 9}}"),
        ("{contributors: {tone: {text: A}}}", "{contributors: {tone: {priority: 1}}}"),
        ("{contributors: {tone: {text: A}}}", "{contributors: {aim: {text: B}}}"),
    ],
)
def test_arms_that_set_other_paths_or_the_same_value_agree(program: Programme, first: str, second: str) -> None:
    plan = program(_disagreeing(first, second)).plan_for(None, {"one": "x", "two": "y"})
    assert plan.arms == {"one": "x", "two": "y"}


def test_arms_of_one_experiment_may_differ(program: Programme) -> None:
    text = BASE + ("variants: {tone: {arms: {a: {with: {settings: {seed: 1}}}, b: {with: {settings: {seed: 2}}}}}}\n")
    made = program(text)
    assert [made.plan_for(None, {"tone": arm}).overlays[-1].settings for arm in "ab"] == [{"seed": 1}, {"seed": 2}]


def test_a_tenant_may_have_any_name_even_an_empty_one(program: Programme) -> None:
    text = BASE + 'tenants: {"": {with: {settings: {seed: 1}}}, "a b/ü": {with: {settings: {seed: 2}}}}\n'
    made = program(text)
    assert [made.plan_for(tenant, {}).overlays[0].settings["seed"] for tenant in ("", "a b/ü")] == [1, 2]


def test_more_experiments_than_can_be_checked_are_a_fault(compile: Compile) -> None:
    def found(count: int) -> list[str]:
        arms = "".join(f"  e{i}: {{arms: {{a: {{}}, b: {{}}}}}}\n" for i in range(count))
        return [d.code for d in compile(f"{BASE}variants:\n{arms}").diagnostics]

    assert found(46) == ["too-large"]
    assert found(45) == []
