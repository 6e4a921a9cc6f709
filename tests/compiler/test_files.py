"""`extends`: the rules of DESIGN's "Files", as the compiler keeps them."""

from __future__ import annotations

from pathlib import Path

from tests.compiler.conftest import Compile, Programme, places

BASE = """\
    victor: 1
    name: base
    models:
      main: {type: echo, context_window: 9000}
    settings: {temperature: 0.1, limits: {requests_per_minute: 60}}
    contributors:
      - {type: text, name: tone, text: Be brief.}
      - {type: text, name: aim, text: Help.}
    """


def test_a_spec_has_what_it_extends_and_says_what_is_different(program: Programme) -> None:
    made = program(
        """\
        victor: 1
        name: support
        extends: base.yml
        settings: {temperature: 0.9}
        contributors:
          tone: {text: Be kind.}
          aim: null
          more: {type: text, text: Be here.}
        """,
        {"base.yml": BASE},
    )
    plan = made.plan_for(None, {})
    assert made.name == "support"
    assert plan.spec.settings == {"temperature": 0.9, "limits": {"requests_per_minute": 60}}
    assert [plan.by_id[id].config.text for id in plan.roles.contributors] == ["Be kind.", "Be here."]  # type: ignore[attr-defined]


def test_a_list_replaces_what_the_parent_has(program: Programme) -> None:
    made = program(
        """\
        victor: 1
        name: support
        extends: base.yml
        contributors:
          - {type: text, name: only, text: This alone.}
        """,
        {"base.yml": BASE},
    )
    assert made.plan_for(None, {}).roles.contributors == ("contributors/only",)


def test_a_later_parent_stands_over_an_earlier_one_where_they_add(program: Programme) -> None:
    made = program(
        "victor: 1\nname: support\nextends: [base.yml, more.yml]\n",
        {"base.yml": BASE, "more.yml": "victor: 1\nname: more\nsettings: {max_tokens: 7}\n"},
    )
    assert made.plan_for(None, {}).spec.settings == {
        "temperature": 0.1,
        "limits": {"requests_per_minute": 60},
        "max_tokens": 7,
    }


def test_paths_resolve_against_the_file_that_wrote_them(program: Programme) -> None:
    made = program(
        "victor: 1\nname: support\nextends: shared/base.yml\n",
        {
            "shared/base.yml": """\
                victor: 1
                name: base
                models: {main: {type: echo}}
                contributors: [{type: file, path: prompts/tone.md}]
                """,
            "shared/prompts/tone.md": "Be brief.",
        },
    )
    node = made.plan_for(None, {}).by_id["contributors/file"]
    assert node.config.path.endswith("shared/prompts/tone.md")  # type: ignore[attr-defined]


def test_a_fault_of_a_parent_stands_in_the_parent(compile: Compile) -> None:
    compilation = compile(
        "victor: 1\nname: support\nextends: shared/base.yml\n",
        {"shared/base.yml": "victor: 1\nname: base\nmodels:\n  main: {type: ecko}\n"},
    )
    assert places(compilation) == [("unknown-component", "shared/base.yml", 4, 16)]


def test_every_file_of_the_tree_is_checked_at_once(compile: Compile) -> None:
    compilation = compile(
        "victor: 1\nname: support\nextends: base.yml\nsettings: {temprature: 1}\n",
        {"base.yml": "victor: 1\nname: base\nmodels:\n  main: {type: ecko}\n"},
    )
    assert places(compilation) == [("unknown-key", "victor.yml", 4, 12), ("unknown-component", "base.yml", 4, 16)]


def test_a_fault_that_the_spec_mends_is_none(program: Programme) -> None:
    program(
        "victor: 1\nname: support\nextends: base.yml\nsettings: {temperature: 1}\n",
        {"base.yml": "victor: 1\nname: base\nmodels: {main: {type: echo}}\nsettings: {temperature: 9}\n"},
    )


SIBLINGS = {
    "a.yml": "victor: 1\nname: a\nmodels: {main: {type: echo}}\nsettings: {temperature: 0.9}\n",
    "b.yml": "victor: 1\nname: b\nsettings: {temperature: 0.1}\n",
}


def test_siblings_that_set_one_leaf_differently_are_a_fault_with_both_places(compile: Compile) -> None:
    compilation = compile("victor: 1\nname: support\nextends: [a.yml, b.yml]\n", SIBLINGS)
    assert places(compilation) == [("siblings-disagree", "b.yml", 3, 25)]
    (related,) = compilation.diagnostics[0].related
    assert (related.span.file, related.span.line) == ("a.yml", 4)


def test_siblings_that_agree_are_no_fault(program: Programme) -> None:
    program(
        "victor: 1\nname: support\nextends: [a.yml, b.yml]\n",
        {**SIBLINGS, "b.yml": "victor: 1\nname: b\nsettings:\n  temperature: 0.9 # the same\n"},
    )


def test_siblings_may_disagree_where_the_spec_decides(program: Programme) -> None:
    made = program("victor: 1\nname: support\nextends: [a.yml, b.yml]\nsettings: {temperature: 0.4}\n", SIBLINGS)
    assert made.plan_for(None, {}).spec.settings["temperature"] == 0.4


def test_a_sibling_may_override_what_both_have_from_one_parent(program: Programme) -> None:
    made = program(
        "victor: 1\nname: support\nextends: [a.yml, b.yml]\n",
        {
            "base.yml": BASE,
            "a.yml": "victor: 1\nname: a\nextends: base.yml\n",
            "b.yml": "victor: 1\nname: b\nextends: base.yml\nsettings: {temperature: 0.5}\n",
        },
    )
    assert made.plan_for(None, {}).spec.settings["temperature"] == 0.5


def test_an_override_of_one_sibling_holds_whichever_comes_first(program: Programme) -> None:
    made = program(
        "victor: 1\nname: support\nextends: [b.yml, a.yml]\n",
        {
            "base.yml": BASE,
            "a.yml": "victor: 1\nname: a\nextends: base.yml\n",
            "b.yml": "victor: 1\nname: b\nextends: base.yml\nsettings: {temperature: 0.5}\n",
        },
    )
    assert made.plan_for(None, {}).spec.settings["temperature"] == 0.5


def test_siblings_that_give_a_list_item_different_fields_are_a_fault(compile: Compile) -> None:
    compilation = compile(
        "victor: 1\nname: support\nextends: [a.yml, b.yml]\n",
        {
            "a.yml": "victor: 1\nname: a\nmodels: {main: {type: echo}}\ncontributors: [{type: text, text: A}]\n",
            "b.yml": "victor: 1\nname: b\ncontributors: [{type: text, text: B}]\n",
        },
    )
    assert [d.code for d in compilation.diagnostics] == ["siblings-disagree"]


def test_local_state_lies_beside_the_spec_unless_it_is_told_where(program: Programme, tmp_path: Path) -> None:
    made = program("victor: 1\nname: support\nmodels: {main: {type: echo}}\n", name="specs/victor.yml")
    assert made.state == tmp_path / "specs" / ".victor"
    elsewhere = program("victor: 1\nname: support\nmodels: {main: {type: echo}}\n", state=Path("elsewhere"))
    assert elsewhere.state == Path("elsewhere")


def test_a_sibling_may_change_an_item_of_an_earlier_one_by_name(program: Programme) -> None:
    made = program(
        "victor: 1\nname: support\nextends: [base.yml, formal.yml]\n",
        {
            "base.yml": BASE,
            "formal.yml": "victor: 1\nname: formal\ncontributors: {tone: {text: Be formal.}}\n",
        },
    )
    plan = made.plan_for(None, {})
    assert plan.by_id["contributors/tone"].config.text == "Be formal."  # type: ignore[attr-defined]


def test_a_tower_of_files_that_each_extend_one_file_twice_is_read_at_once(program: Programme) -> None:
    tower = {f"{n}.yml": f"victor: 1\nname: n{n}\nextends: [{n + 1}.yml, {n + 1}.yml]\n" for n in range(28)}
    program("victor: 1\nname: support\nextends: 0.yml\n", {**tower, "28.yml": BASE})


def test_what_a_file_that_cannot_be_read_may_have_is_not_said_to_be_missing(compile: Compile) -> None:
    text = "victor: 1\nname: support\nextends: gone.yml\nsettings: {model: main, temperature: 9}\n"
    assert [d.code for d in compile(text).diagnostics] == ["extends-missing", "wrong-value"]
