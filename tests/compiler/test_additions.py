"""`+key: [...]` adds to the list below, in files that extend one another, in tenants, in arms and in layers of values."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compiler.conftest import Compile, Programme, places
from victor_dsl.graph.plan import Plan
from victor_dsl.values.settings import Layer

BASE = """\
victor: 1
name: base
models:
  main: {type: echo}
  spare: {type: echo}
settings: {model: main, stop: [A], limits: {tools: {deny: [x]}}}
vars: {tags: [a], word: text}
contributors:
  - {type: tech_stack, stack: [python]}
middleware: [logging, auth]
request: [model]
"""


def overlaid(overlay: str) -> str:
    """The base with a tenant `acme`; the overlay begins at line 15, column 7."""
    lines = "\n".join(f"      {line}" for line in overlay.splitlines())
    return f"{BASE}tenants:\n  acme:\n    with:\n{lines}\nunknown_tenants: base\n"


def child(text: str) -> str:
    return f"victor: 1\nname: child\nextends: base.yml\n{text}\n"


def names(plan: Plan) -> list[str]:
    return [id.split("/", 1)[1] for id in plan.roles.contributors]


def stack(plan: Plan) -> Any:
    return plan.by_id["contributors/tech_stack"].config.stack  # type: ignore[attr-defined]


def merged(*layers: Layer) -> tuple[dict[str, Any], dict[str, Any]]:
    settings: dict[str, Any] = {}
    vars: dict[str, Any] = {}
    for layer in layers:
        settings, vars = layer.settings_upon(settings), layer.vars_upon(vars)
    return settings, vars


def test_a_child_adds_to_sections_fields_settings_and_vars(program: Programme) -> None:
    text = child(
        "+contributors: [{type: text, name: extra, text: Extra.}]\n+request: [k]\n"
        "settings: {+stop: [B], limits: {tools: {+deny: [y]}}, +fallbacks: [spare]}\nvars: {+tags: [b]}"
    )
    plan = program(text, {"base.yml": BASE}).plan_for(None, {})
    assert names(plan) == ["tech_stack", "extra"]
    assert plan.request == {"model", "k"}
    assert plan.spec.settings["stop"] == ["A", "B"]
    assert plan.spec.settings["limits"] == {"tools": {"deny": ["x", "y"]}}
    assert plan.spec.settings["fallbacks"] == ["spare"]
    assert plan.spec.vars["tags"] == ["a", "b"]
    assert plan.spec.origins["settings.stop"].file == "victor.yml"


def test_an_overlay_adds_to_a_field_of_an_item(program: Programme) -> None:
    made = program(overlaid("contributors: {tech_stack: {+stack: [rust]}}"))
    assert (stack(made.plan_for(None, {})), stack(made.plan_for("acme", {}))) == (["python"], ["python", "rust"])


def test_where_there_is_no_list_the_addition_is_the_list(program: Programme) -> None:
    text = BASE.replace("stack: [python]", "+stack: [go]").replace("stop: [A]", "+stop: [Z]")
    made = program(text.replace("contributors:", "+contributors:"))
    assert stack(made.plan_for(None, {})) == ["go"]
    assert made.plan_for(None, {}).spec.settings["stop"] == ["Z"]
    assert made.plan_for(None, {}).spec.added == frozenset()


def test_a_file_may_change_by_name_what_its_parent_adds(program: Programme) -> None:
    middle = child("+contributors: [{type: text, name: extra, +stack: []}]").replace("+stack: []", "text: Extra.")
    top = "victor: 1\nname: top\nextends: middle.yml\ncontributors: {extra: {text: Other.}}\n"
    plan = program(top, {"base.yml": BASE, "middle.yml": middle}).plan_for(None, {})
    assert plan.by_id["contributors/extra"].config.text == "Other."  # type: ignore[attr-defined]


def test_files_add_to_what_an_overlay_adds(program: Programme) -> None:
    """The additions of tenants stay additions, whichever file wrote them."""
    base = overlaid("settings: {+stop: [B]}\n+contributors: [{type: text, name: one, text: One.}]")
    more = "settings: {+stop: [C]}, +contributors: [{type: text, name: two, text: Two.}]"
    plan = program(child(f"tenants: {{acme: {{with: {{{more}}}}}}}"), {"base.yml": base}).plan_for("acme", {})
    assert merged(plan.spec, *plan.overlays)[0]["stop"] == ["A", "B", "C"]
    assert names(plan) == ["tech_stack", "one", "two"]


@pytest.mark.parametrize(
    ("written", "expected"), [("stop: [C]", ["C"]), ("stop: null", None), ("+stop: []", ["A", "B"])]
)
def test_a_file_replaces_removes_or_leaves_what_an_overlay_adds(
    program: Programme, written: str, expected: list[str] | None
) -> None:
    base = overlaid("settings: {+stop: [B]}")
    text = child(f"tenants: {{acme: {{with: {{settings: {{{written}}}}}}}}}")
    plan = program(text, {"base.yml": base}).plan_for("acme", {})
    assert merged(plan.spec, *plan.overlays)[0].get("stop") == expected


def test_the_layers_of_tenants_and_arms_add_one_after_the_other(program: Programme) -> None:
    text = overlaid("settings: {+stop: [B]}\nvars: {+tags: [b]}") + (
        "variants:\n"
        "  one: {arms: {on: {with: {settings: {+stop: [C]}, +contributors: [{type: text, name: c, text: C.}]}}}}\n"
        "  two: {arms: {on: {with: {settings: {+stop: [D]}, +contributors: [{type: text, name: d, text: D.}]}}}}\n"
    )
    plan = program(text).plan_for("acme", {"two": "on", "one": "on"})
    settings, vars = merged(plan.spec, *plan.overlays)
    assert (settings["stop"], vars["tags"]) == (["A", "B", "C", "D"], ["a", "b"])
    assert names(plan) == ["tech_stack", "c", "d"]


def test_arms_disagree_where_one_sets_what_another_adds_to(compile: Compile) -> None:
    text = BASE + (
        "variants:\n"
        "  one: {arms: {on: {with: {settings: {+stop: [C]}, contributors: {tech_stack: {stack: [go]}}}}}}\n"
        "  two: {arms: {on: {with: {settings: {stop: [D]}, +contributors: [{type: text, name: d, text: D.}]}}}}\n"
    )
    assert places(compile(text)) == [("arms-disagree", "victor.yml", 14, 45)]


def test_siblings_may_add_to_one_list_but_not_set_what_the_other_adds_to(compile: Compile) -> None:
    files = {
        "base.yml": BASE,
        "a.yml": child("settings: {+stop: [a]}"),
        "b.yml": child("settings: {+stop: [b]}"),
        "c.yml": child("settings: {stop: [c]}"),
    }
    sound = compile("victor: 1\nname: x\nextends: [a.yml, b.yml]\n", files)
    assert sound.program is not None
    assert sound.program.plan_for(None, {}).spec.settings["stop"] == ["A", "a", "b"]
    faulty = compile("victor: 1\nname: x\nextends: [a.yml, c.yml]\n", files)
    assert places(faulty) == [("siblings-disagree", "c.yml", 4, 18)]


def test_a_tenant_adds_middleware_after_admission_and_no_auth(compile: Compile) -> None:
    compilation = compile(overlaid("+middleware: [cache, {type: auth, name: mine}]"))
    assert places(compilation) == [("untouchable", "victor.yml", 15, 28)]
    sound = compile(overlaid("+middleware: [cache]"))
    assert sound.program is not None
    roles = sound.program.plan_for("acme", {}).roles
    assert roles.admission == ("middleware/logging", "middleware/auth")
    assert roles.middleware == (("middleware/cache", "model"),)


@pytest.mark.parametrize(
    ("overlay", "code", "column"),
    [
        ("settings: {+stop: B}", "bad-addition", 18),
        ("settings: {+stop: null}", "bad-addition", 18),
        ("settings: {+stop: [B], stop: [C]}", "bad-addition", 18),
        ("settings: {+temperature: [1]}", "wrong-type", 32),
        ("settings: {+stopp: [1]}", "unknown-key", 18),
        ("settings: {++stop: [1]}", "unknown-key", 18),
        ("settings: {+: [1]}", "unknown-key", 18),
        ("settings: {+stop: [[1]]}", "wrong-type", 26),
        ("settings: {+fallbacks: [ghost]}", "unknown-name", 31),
        ("+settings: [1]", "bad-addition", 7),
        ("+models: [1]", "bad-addition", 7),
        ("+victor: [1]", "untouchable", 7),
        ("+exporters: [console]", "untouchable", 7),
        ("+contributers: []", "unknown-key", 7),
        ("+: []", "unknown-key", 7),
        ("contributors: {tech_stack: {+type: [x]}}", "bad-addition", 35),
        ("contributors: {tech_stack: {+priority: [x]}}", "wrong-type", 46),
        ("contributors: {tech_stack: {+stak: [x]}}", "unknown-key", 35),
        ("+contributors: {a: {type: text, text: A.}}", "bad-addition", 7),
        ("vars: {+word: [b]}", "wrong-type", 21),
        ("vars: {+new: {a: 1}}", "bad-addition", 14),
        ("vars: {++tags: [b]}", "bad-name", 14),
        ("vars: {+: [b]}", "bad-name", 14),
    ],
)
def test_faults_of_an_addition_stand_at_its_line(compile: Compile, overlay: str, code: str, column: int) -> None:
    assert places(compile(overlaid(overlay))) == [(code, "victor.yml", 15, column)]


def test_an_addition_to_what_is_no_list_names_the_place_of_that(compile: Compile) -> None:
    (fault,) = compile(child("prompt: {}\n+extends: [x]"), {"base.yml": BASE}).diagnostics
    assert (fault.code, fault.span.line) == ("bad-addition", 5)
    (fault,) = compile(child("contributors: {tech_stack: {+type: [rust]}}"), {"base.yml": BASE}).diagnostics
    assert [(related.span.file, related.span.line) for related in fault.related] == [("base.yml", 9)]


def test_the_pointer_of_a_fault_has_the_key_as_it_is_written(compile: Compile) -> None:
    (fault,) = compile(overlaid("settings: {+fallbacks: [ghost]}")).diagnostics
    assert fault.as_json()["path"] == "/tenants/acme/with/settings/+fallbacks/0"


def test_keys_that_begin_with_plus_and_no_name_are_plain_keys(program: Programme) -> None:
    text = overlaid("vars: {codes: {+49: Germany, +1: USA}}")
    plan = program(text).plan_for("acme", {})
    assert plan.overlays[0].vars == {"codes": {"+49": "Germany", "+1": "USA"}}


def test_a_digest_tells_adding_from_replacing(program: Programme) -> None:
    adds, replaces, same = (
        program(overlaid(f"settings: {{{one}}}")).plan_for("acme", {}).digest
        for one in ("+stop: [B]", "stop: [B]", "+stop: [B] ")
    )
    assert adds != replaces
    assert adds == same


@pytest.mark.parametrize("provider", ["{{type: inline, values: {}}}", "{{type: file, path: s.yml}}"])
def test_a_provider_adds_and_its_faults_stand_at_their_lines(compile: Compile, provider: str) -> None:
    def compiled(settings: str, vars: str) -> Any:
        values = f"{{settings: {{{settings}}}, vars: {{{vars}}}}}"
        return compile(f"{BASE}providers: [{provider.format(values)}]\n", {"s.yml": f"{values}\n"})

    assert compiled("+stop: [B], limits: {tools: {+deny: [y]}}", "+tags: [b]").program is not None
    for settings, vars, code in (
        ("+stop: B", "", "bad-addition"),
        ("+stop: [1]", "", "wrong-type"),
        ("+fallbacks: [ghost]", "", "unknown-name"),
        ("", "+tags: [b], tags: [c]", "bad-addition"),
        ("", "+word: [b]", "wrong-type"),
    ):
        (fault,) = compiled(settings, vars).diagnostics
        assert fault.code == code
        assert fault.span.column > 12


def test_a_digest_tells_an_inline_provider_that_adds_from_one_that_replaces(program: Programme) -> None:
    adds, replaces = (
        program(f"{BASE}providers: [{{type: inline, values: {{settings: {{{key}: [B]}}}}}}]\n")
        .plan_for(None, {})
        .digest
        for key in ("+stop", "stop")
    )
    assert adds != replaces


def test_templates_see_what_is_added(compile: Compile) -> None:
    template = "contributors: {t: {type: template, template: '{{ more[0] }}{{ tags[0] }}{{ mor }}'}}"
    compilation = compile(overlaid(f"{template}\nvars: {{+tags: [b], +more: [c]}}"))
    assert [d.code for d in compilation.diagnostics] == ["undefined-variable"]


def test_a_repeated_fallback_is_found_where_it_is_added(compile: Compile) -> None:
    text = overlaid("settings: {+fallbacks: [spare]}").replace("model: main,", "model: main, fallbacks: [spare],")
    assert places(compile(text)) == [("repeated-fallback", "victor.yml", 15, 31)]


def test_thirty_files_add_in_the_order_in_which_they_extend_one_another(program: Programme) -> None:
    files = {"f0.yml": BASE} | {
        f"f{n}.yml": f"victor: 1\nname: f{n}\nextends: f{n - 1}.yml\nvars: {{+tags: [t{n}]}}\n" for n in range(1, 30)
    }
    plan = program("victor: 1\nname: x\nextends: f29.yml\n", files).plan_for(None, {})
    assert plan.spec.vars["tags"] == ["a", *(f"t{n}" for n in range(1, 30))]
