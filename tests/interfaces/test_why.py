"""`victor why`: who had a say in a value or an item, and who won."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interfaces.conftest import Victor
from victor_dsl.interfaces.cli.pages import page_text
from victor_dsl.interfaces.cli.why_page import why_page
from victor_dsl.interfaces.why import NO_VALUE, Say, Why

BASE = """\
victor: 1
name: base
models: {main: {type: echo, settings: {temperature: 0.1}}}
settings: {temperature: 0.3, stop: [A], seed: 1, limits: {tools: {deny: ["a*"]}}}
vars: {product: Acme, plan: {name: free, seats: 1}}
contributors:
  - {type: text, name: rules, text: base, priority: 70}
  - {type: text, name: late, text: late}
"""

SPEC = """\
victor: 1
name: shop
extends: base.yml
settings: {temperature: 0.5, +stop: [B]}
locked: [settings.seed]
tool_selection: {type: all, k: 3}
databases: {app: {type: sqlite, path: a.db}}
providers:
  - {type: inline, values: {settings: {temperature: 0.6}, vars: {product: Inline}}}
  - {type: env, prefix: WHY_, priority: 90}
contributors:
  rules: {text: shop}
inputs: {level: {type: string, required: true}, tone: {type: string, default: kind}}
variants:
  tone:
    arms:
      control: {}
      warm: {with: {settings: {top_p: null}, contributors: {rules: {type: template, template: "hi {{ product }}"}}}}
tenants:
  acme: {with: {settings: {top_p: 0.7, limits: {tools: {deny: ["b*"]}}}, contributors: {late: null, rules: {priority: 3}}}}
  plain: {with: {variants: {tone: null}, contributors: [{type: text, name: only, text: only}]}}
unknown_tenants: base
"""


@pytest.fixture(autouse=True)
def _spec(folder: Path) -> None:
    (folder / "base.yml").write_text(BASE)
    (folder / "victor.yml").write_text(SPEC)


def says(victor: Victor, key: str, *options: str) -> dict[str, list[tuple[str, object, str, str]]]:
    """By field: layer, value and place of each say, and `*` where it is in force, with its note."""
    done = victor("why", "victor.yml", key, "--json", *options)
    assert done.code == 0, done.err
    return {
        field: [
            (
                one["source"],
                one["value"],
                f"{one['file']}:{one['line']}",
                f"{'*' if one['in_force'] else ''}{one['note']}",
            )
            for one in layers
        ]
        for field, layers in done.json["fields"].items()
    }


def test_a_setting_shows_each_layer_from_the_lowest(victor: Victor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHY_TEMPERATURE", "0.9")
    (layers,) = says(victor, "temperature").values()
    assert layers == [
        ("spec", 0.3, "base.yml:4", ""),
        ("spec", 0.5, "victor.yml:4", ""),
        ("models/main", 0.1, "base.yml:3", ""),
        ("providers/inline", 0.6, "victor.yml:9", "priority 50"),
        ("providers/env", 0.9, "None:None", "*priority 90; the variable WHY_TEMPERATURE"),
    ]


def test_null_removes_and_lists_add_up(victor: Victor) -> None:
    warm = ("--tenant", "acme", "--arm", "tone=warm")
    assert says(victor, "settings.top_p", *warm)[""] == [
        ("tenant acme", 0.7, "victor.yml:20", ""),
        ("arm tone.warm", None, "victor.yml:18", "*removes it"),
    ]
    assert says(victor, "stop")[""] == [
        ("spec", ["A"], "base.yml:4", "*"),
        ("spec", ["B"], "victor.yml:4", "*adds to the list"),
    ]
    assert says(victor, "limits.tools.deny", *warm)[""] == [
        ("spec", ["a*"], "base.yml:4", "*"),
        ("tenant acme", ["b*"], "victor.yml:20", "*adds to the list"),
    ]


def test_a_setting_on_its_component_is_found_by_both_names(victor: Victor) -> None:
    for key in ("k", "settings.k", "tool_selection.k"):
        assert says(victor, key) == {"": [("spec", 3, "victor.yml:6", "*")]}


def test_a_locked_value_names_the_lock(victor: Victor) -> None:
    done = victor("why", "victor.yml", "seed", "--json").json
    assert done["value"] == 1
    assert done["notes"] == ["locked by 'settings.seed' (victor.yml:5): only the spec and what it extends may set it"]


def test_vars_show_the_request_and_each_of_their_fields(victor: Victor) -> None:
    assert says(victor, "vars.product", "--var", "product=Mine")[""] == [
        ("spec", "Acme", "base.yml:5", ""),
        ("providers/inline", "Inline", "victor.yml:9", "priority 50"),
        ("request", "Mine", "None:None", "*"),
    ]
    assert says(victor, "vars.plan") == {
        "name": [("spec", "free", "base.yml:5", "*")],
        "seats": [("spec", 1, "base.yml:5", "*")],
    }


def test_an_input_shows_its_declaration_and_where_its_value_is_from(victor: Victor) -> None:
    default = victor("why", "victor.yml", "inputs.tone", "--json").json
    assert (default["value"], default["notes"]) == ("kind", ["its value is from victor.yml:13"])
    needed = victor("why", "victor.yml", "inputs.level", "--json").json
    assert "value" not in needed
    assert needed["notes"] == ["a request must set it"]
    given = victor("why", "victor.yml", "inputs.level", "--json", "--set", "level=high").json
    assert (given["value"], given["notes"]) == ("high", ["its value is from request"])


def test_a_piece_shows_each_field_with_its_layers(victor: Victor) -> None:
    assert says(victor, "rules", "--tenant", "acme", "--arm", "tone=warm") == {
        "type": [("spec", "text", "base.yml:7", ""), ("arm tone.warm", "template", "victor.yml:18", "*")],
        "name": [("spec", "rules", "base.yml:7", "*")],
        "text": [
            ("spec", "base", "base.yml:7", ""),
            ("spec", "shop", "victor.yml:12", "dropped with the old type at victor.yml:18"),
        ],
        "priority": [("spec", 70, "base.yml:7", ""), ("tenant acme", 3, "victor.yml:20", "*")],
        "template": [("arm tone.warm", "hi {{ product }}", "victor.yml:18", "*")],
    }
    assert says(victor, "contributors.rules.priority") == {"": [("spec", 70, "base.yml:7", "*")]}


def test_a_piece_that_null_removes_says_where(victor: Victor) -> None:
    done = victor("why", "victor.yml", "late", "--json", "--tenant", "acme").json
    assert done["notes"] == ["not in force: this plan has no such item"]
    assert [one["note"] for one in done["fields"]["text"]] == ["removed at victor.yml:20"]
    (removal,) = done["fields"][""]
    assert (removal["source"], removal["value"], removal["note"]) == ("tenant acme", None, "removes it")


def test_a_piece_of_a_list_that_was_replaced_says_by_which(victor: Victor) -> None:
    found = says(victor, "rules.text", "--tenant", "plain")
    assert found[""][1] == ("spec", "shop", "victor.yml:12", "replaced at victor.yml:21")
    assert found[""][2][3] == "replaces all of contributors"


def test_an_unknown_key_has_the_nearest_names(victor: Victor) -> None:
    for key, nearest in (
        ("temprature", "settings.temperature"),
        ("vars.prodct", "vars.product"),
        ("product", "vars.product"),
        ("contributors.rule", "contributors.rules"),
    ):
        done = victor("why", "victor.yml", key)
        assert done.code == 2
        assert f"error: nothing here is called '{key}'; did you mean '{nearest}'?" in done.err
    assert (
        "no layer writes 'contributors.rules.txt'; did you mean 'text'?" in victor("why", "victor.yml", "rules.txt").err
    )


def test_secrets_are_shown_as_their_references(victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-ant-abcdefghijklmnopqrstuvwxyz0123")
    model = 'models: {main: {type: openai, model: m, api_key: "${env:MY_KEY}"}}\n'
    (folder / "victor.yml").write_text(f'victor: 1\nname: a\n{model}vars: {{key: "${{env:MY_KEY}}"}}\n')
    for key in ("models.main", "vars.key"):
        for form in ((), ("--json",)):
            done = victor("why", "victor.yml", key, *form)
            assert done.code == 0
            assert "${env:MY_KEY}" in done.out
            assert "abcdefghij" not in done.out + done.err


def test_the_page_has_the_layers_in_words(victor: Victor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    assert (
        victor("why", "victor.yml", "rules", "--tenant", "acme", "--arm", "tone=warm").out
        == """\
contributors.rules
  piece 1 of 1 of the system prompt, priority 3, 3 tokens

field     layer          value               written at
type      spec           "text"              base.yml:7
          arm tone.warm  "template"          victor.yml:18  in force
name      spec           "rules"             base.yml:7     in force
text      spec           "base"              base.yml:7
          spec           "shop"              victor.yml:12  dropped with the old type at
                                                            victor.yml:18
priority  spec           70                  base.yml:7
          tenant acme    3                   victor.yml:20  in force
template  arm tone.warm  "hi {{ product }}"  victor.yml:18  in force
"""
    )


def test_what_stops_the_request_is_said_after_the_answer(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        SPEC.replace("{type: env, prefix: WHY_, priority: 90}", "{type: tenant, database: app}")
    )
    done = victor("why", "victor.yml", "seed", "--tenant", "acme")
    assert done.code == 3
    assert "base.yml:4  in force" in done.out
    assert done.err.splitlines()[-1].startswith("error: providers/tenant: victor.yml:10:")


def test_a_section_alone_lists_its_items_or_its_default(victor: Victor) -> None:
    done = victor("why", "victor.yml", "contributors")
    assert done.code == 2
    assert done.err.endswith("error: 'contributors' is a section; its items: contributors.late, contributors.rules\n")
    done = victor("why", "victor.yml", "compaction")
    assert (done.code, done.out.splitlines()[1]) == (
        0,
        "  no layer writes it: the default is in force: salience",
    )


def test_an_item_that_an_overlay_renames_is_found_by_both_names(victor: Victor, folder: Path) -> None:
    spec = folder / "renamed.yml"
    spec.write_text(
        "victor: 1\nextends: base.yml\nunknown_tenants: base\n"
        "tenants: {acme: {with: {contributors: {rules: {name: regeln, text: ours}}}}}\n"
    )
    for key in ("regeln", "rules", "contributors.rules", "contributors.regeln"):
        done = victor("why", "renamed.yml", key, "--tenant", "acme", "--json")
        assert (done.code, done.json["key"]) == (0, "contributors.regeln"), done.err
        assert [(one["source"], one["value"], one["in_force"]) for one in done.json["fields"]["text"]] == [
            ("spec", "base", False),
            ("tenant acme", "ours", True),
        ]


def test_a_map_that_null_removes_says_so_at_its_fields(victor: Victor, folder: Path) -> None:
    spec = folder / "nulled.yml"
    spec.write_text(
        "victor: 1\nextends: base.yml\nunknown_tenants: base\ntenants: {acme: {with: {vars: {plan: null}}}}\n"
        "variants: {tone: {arms: {control: {}, warm: {with: {vars: {plan: {seats: 9}}}}}}}\n"
    )
    done = victor("why", "nulled.yml", "vars.plan", "--tenant", "acme", "--arm", "tone=warm", "--json")
    fields = {
        field: [(one["source"], one["value"], one["in_force"], one["note"]) for one in layers]
        for field, layers in done.json["fields"].items()
    }
    assert fields == {
        "name": [("spec", "free", False, "removed at nulled.yml:4")],
        "seats": [("spec", 1, False, ""), ("arm tone.warm", 9, True, "")],
        "": [("tenant acme", None, False, "removes it")],
    }


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("limits.tols", "'settings.limits' has no 'tols'; did you mean 'tools'? fields: "),
        ("temperature.x", "'settings.temperature' has no 'x'; there are no fields"),
        ("vars.plan.seat", "'vars.plan' has no 'seat'; did you mean 'seats'? fields: name, seats"),
    ],
)
def test_an_unknown_field_of_a_value_has_the_nearest_names(victor: Victor, key: str, error: str) -> None:
    done = victor("why", "victor.yml", key)
    assert (done.code, done.out) == (2, "")
    assert f"error: {error}" in done.err


def test_a_field_of_a_setting_that_nobody_writes_has_its_default(victor: Victor) -> None:
    assert "the default is in force" in victor("why", "victor.yml", "limits.tools.allow").out


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("folder_of_the_spec", ["", "services/assistant-for-customers/configuration/of-the-shop/"])
def test_the_page_has_the_whole_of_every_say_whatever_the_width(width: int, folder_of_the_spec: str) -> None:
    file = f"{folder_of_the_spec}victor.yml"
    says = (
        Say("spec", "Answer in plain words.", file, 10),
        Say("arm tone_of_the_answer.warm", "Answer warmly, and with their name.", file, 38, in_force=True),
    )
    found = Why(
        "contributors.style", NO_VALUE, {"text": says, "overflow": (Say("spec", "drop", file, 11, in_force=True),)}
    )
    page = page_text(why_page(found), width, colour=False)
    assert all(len(line) <= width for line in page.splitlines())
    whole = "".join(page.split())  # however it is wrapped
    for part in ("overflow", "arm tone_of_the_answer.warm", '"Answer in plain words."', f"{file}:38", "in force"):
        assert "".join(part.split()) in whole, page
    assert min(len(word) for word in page.split()) > 1, page  # no column of single letters
