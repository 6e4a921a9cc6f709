"""Text: unknown names, variables and secrets, in YAML and JSON alike."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from tests.compiler.conftest import Compile, Programme, places
from victor_dsl.compiler import compile_spec
from victor_dsl.language.config import Secret

SMALL = "victor: 1\nname: support\nmodels:\n  main: {type: echo}\n"

FIVE_FAULTS: dict[str, Any] = {
    "victor": 1,
    "name": "support",
    "models": {"main": {"type": "ecko"}},
    "settings": {"temprature": 0.1, "model": "mian", "max_tokens": "many"},
    "contributors": [{"type": "text"}],
}


def test_every_fault_is_found_at_once_each_at_its_own_place(compile: Compile) -> None:
    text = """\
        victor: 1
        name: support
        models:
          main: {type: ecko}
        settings:
          temprature: 0.1
          model: mian
          max_tokens: many
        contributors:
          - {type: text}
        """
    assert places(compile(text)) == [
        ("unknown-component", "victor.yml", 4, 16),
        ("unknown-key", "victor.yml", 6, 3),
        ("unknown-name", "victor.yml", 7, 10),
        ("wrong-type", "victor.yml", 8, 15),
        ("missing-key", "victor.yml", 10, 5),
    ]


def test_a_json_spec_has_the_same_faults_as_a_yaml_one(compile: Compile) -> None:
    in_json = compile(json.dumps(FIVE_FAULTS, indent=1), name="victor.json")
    in_yaml = compile(json.dumps(FIVE_FAULTS, indent=1))
    assert [(d.code, d.message, d.path) for d in in_json.diagnostics] == [
        (d.code, d.message, d.path) for d in in_yaml.diagnostics
    ]
    assert (
        [line for _, _, line, _ in places(in_json)]
        == [line for _, _, line, _ in places(in_yaml)]
        == [6, 10, 11, 12, 15]
    )


@pytest.mark.parametrize("word", ["on", "no", "2026-01-01", "1_000", "12:30:45", "0x", "010a"])
def test_what_yaml_1_1_took_for_something_else_is_text(program: Programme, word: str) -> None:
    made = program(f"{SMALL}vars: {{word: {word}}}\n")
    assert made.plan_for(None, {}).spec.vars == {"word": word}


def test_null_means_not_set(program: Programme) -> None:
    made = program(f"{SMALL}settings: {{temperature: null}}\ntenants: null\nprompt: null\n")
    assert made.plan_for(None, {}).spec.settings.get("temperature") is None


def test_a_variable_is_read_as_the_type_that_its_key_wants(program: Programme) -> None:
    text = SMALL + (
        'settings: {temperature: "${env:T}", max_tokens: "${env:M}", fallbacks: ["${env:F:-main}"]}\n'
        'vars: {number: "${env:M}", text: "in ${env:M} words"}\n'
        'providers: [{type: inline, optional: "${env:O}", values: {}}]\n'
    )
    plan = program(text, environment={"T": ".5", "M": "100", "O": "true"}).plan_for(None, {})
    assert plan.spec.settings == {"temperature": 0.5, "max_tokens": 100, "fallbacks": ["main"]}
    assert plan.spec.vars == {"number": "100", "text": "in 100 words"}
    assert plan.by_id["providers/inline"].config.optional is True  # type: ignore[attr-defined]


def test_a_variable_that_is_no_such_type_is_a_fault_that_names_the_variable_and_not_its_value(compile: Compile) -> None:
    compilation = compile(f'{SMALL}settings: {{max_tokens: "${{env:M}}"}}\n', environment={"M": "hunter2"})
    (found,) = compilation.diagnostics
    assert (found.code, found.span.line) == ("wrong-type", 5)
    assert "${env:M}" in found.message
    assert "hunter2" not in found.message


def test_a_variable_that_is_not_set_is_no_fault_where_it_is_not_needed(compile: Compile) -> None:
    text = f'{SMALL}settings: {{max_tokens: "${{env:M}}", temperature: 9}}\nname2: x\n'
    assert [d.code for d in compile(text).diagnostics] == ["wrong-value", "unknown-key"]


def test_a_variable_that_is_not_set_is_a_fault_of_the_surroundings_where_it_is_needed(compile: Compile) -> None:
    compilation = compile(f'{SMALL}settings: {{max_tokens: "${{env:M}}"}}\n', require_environment=True)
    assert [(d.code, d.external) for d in compilation.diagnostics] == [("missing-variable", True)]
    assert compilation.program is None


def test_nothing_is_expanded_in_keys_and_nothing_twice(program: Programme) -> None:
    text = SMALL + 'vars: {a: "${env:A}", b: "$${env:A}", c: "${A}", d: "$A"}\n'
    made = program(text, environment={"A": "${env:B}", "B": "no"})
    assert made.plan_for(None, {}).spec.vars == {"a": "${env:B}", "b": "${env:A}", "c": "${A}", "d": "$A"}


def test_a_secret_is_a_reference_in_the_plan_whatever_the_environment_has(program: Programme) -> None:
    text = 'victor: 1\nname: s\nmodels: {main: {type: openai, model: gpt-4o, api_key: "${env:KEY}"}}\n'
    made = program(text, environment={"KEY": "hunter2"})
    plan = made.plan_for(None, {})
    assert plan.by_id["models/main"].config.api_key == Secret("env", "KEY")  # type: ignore[attr-defined]
    assert "hunter2" not in repr(plan)
    assert "hunter2" not in repr(made)


def test_a_secret_of_the_environment_changes_neither_digest_nor_fingerprint(program: Programme) -> None:
    text = 'victor: 1\nname: s\nmodels: {main: {type: openai, model: gpt-4o, api_key: "${env:KEY}"}}\n'
    one, other = (program(text, environment={"KEY": key}).plan_for(None, {}) for key in ("a", "b"))
    assert one.digest == other.digest
    assert one.by_id["models/main"].fingerprint == other.by_id["models/main"].fingerprint


@pytest.mark.parametrize("written", ["my-key", "${env:KEY:-x}", "x${env:KEY}", "${env:A}${env:B}"])
def test_a_secret_is_exactly_one_reference_without_default(compile: Compile, written: str) -> None:
    text = f'victor: 1\nname: s\nmodels: {{main: {{type: openai, model: gpt-4o, api_key: "{written}"}}}}\n'
    compilation = compile(text)
    assert [d.code for d in compilation.diagnostics] == ["literal-secret"]
    assert written not in compilation.diagnostics[0].message


@pytest.mark.parametrize(
    "value", ["sk-proj-aaaaaaaaaaaaaaaaaaaaaaaa", "postgres://app:hunter22@db/app", "-----BEGIN PRIVATE KEY-----"]
)
def test_what_looks_like_a_secret_is_one_wherever_it_stands(compile: Compile, value: str) -> None:
    compilation = compile(f'{SMALL}vars: {{a: "{value}"}}\n')
    assert [d.code for d in compilation.diagnostics] == ["literal-secret"]
    assert value not in str(compilation.diagnostics[0].as_json())


def test_unused_names_are_warnings_and_do_not_keep_the_program_back(compile: Compile) -> None:
    compilation = compile(f"{SMALL}embedders: {{words: {{type: tfidf}}}}\n")
    assert [(d.code, d.severity) for d in compilation.diagnostics] == [("unused-name", "warning")]
    assert compilation.program is not None


def test_a_spec_from_stdin_is_called_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"victor: 1\nname: s\nmodels: {main: {type: ecko}}\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert places(compile_spec("-", environment={})) == [("unknown-component", "-", 3, 23)]


def test_a_secret_file_lies_beside_the_file_that_names_it(program: Programme) -> None:
    text = "victor: 1\nname: s\nextends: base/base.yml\n"
    base = 'victor: 1\nname: b\nmodels: {main: {type: openai, model: gpt-4o, api_key: "${file:key.txt}"}}\n'
    secret = program(text, {"base/base.yml": base}).plan_for(None, {}).by_id["models/main"].config.api_key  # type: ignore[attr-defined]
    assert (str(secret), secret.path.endswith("/base/key.txt")) == ("${file:key.txt}", True)


def test_two_secret_files_of_one_name_are_two_live_objects_of_one_meaning(program: Programme) -> None:
    base = 'victor: 1\nname: b\nmodels: {main: {type: openai, model: gpt-4o, api_key: "${file:key.txt}"}}\n'
    one, other = (
        program(f"victor: 1\nname: s\nextends: {folder}/base.yml\n", {f"{folder}/base.yml": base}).plan_for(None, {})
        for folder in ("a", "b")
    )
    assert one.digest == other.digest
    assert one.by_id["models/main"].fingerprint != other.by_id["models/main"].fingerprint


API = """\
victor: 1
name: x
models: {main: {type: echo}}
tools:
  - type: http
    description: Asks.
    url: https://example.com/
    secret_headers:
      X-Key: %s
      X-Other: ${env:OTHER}
"""


def test_a_map_of_secrets_holds_references(program: Programme) -> None:
    for environment in ({}, {"KEY": "k", "OTHER": "o"}):
        node = program(API % "${env:KEY}", environment=environment).plan_for(None, {}).by_id["tools/http"]
        headers = node.config.secret_headers  # type: ignore[attr-defined]
        assert {name: str(secret) for name, secret in headers.items()} == {
            "X-Key": "${env:KEY}",
            "X-Other": "${env:OTHER}",
        }


def test_a_secret_in_a_map_may_not_be_written(compile: Compile) -> None:
    compilation = compile(API % "letmein", environment={"OTHER": "o"})
    assert places(compilation) == [("literal-secret", "victor.yml", 9, 14)]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("missing.md", "paths are relative to the file that contains them"), ("large.md", "replace the file, or name")],
)
def test_the_hint_of_a_file_without_a_value_fits_the_reason(compile: Compile, name: str, hint: str) -> None:
    text = f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\ndescription: '${{file:{name}}}'\n"
    [fault] = compile(text, {"large.md": "a" * 2_000_000}, require_environment=True).errors
    assert str(fault.hint).startswith(hint)


def test_what_a_variable_holds_is_shown_by_no_rule(compile: Compile) -> None:
    text = 'victor: 1\nname: s\nmodels: {main: {type: openai, model: m, base_url: "${env:KEY}"}}\n'
    fault = compile(text, environment={"KEY": "hunter2hunter2"}).diagnostics[0]
    assert "hunter2" not in f"{fault.message}{fault.hint}"
    assert "'${env:KEY}' is not an HTTP address" in fault.message


def test_the_variables_of_an_anchor_are_needed_where_it_is_used_only(compile: Compile) -> None:
    anchored = 'x-key: &key "${env:ANCHORED}"\nx-shared: &shared {max_tokens: "${env:SHARED}"}\n' + SMALL
    assert compile(anchored, require_environment=True, require_secrets=True).diagnostics == ()
    used = compile(anchored + "settings: {<<: *shared}\n", require_environment=True)
    assert [(d.code, d.message) for d in used.diagnostics] == [("missing-variable", "the variable SHARED is not set")]


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("Never say # this", 21),
        ("See ticket #4711 first.", 22),
        ("Done. #no-reply", 17),
        ("a # b # c", 13),
        ("Answer briefly. # the style guide says so", None),
        ("Never say#this", None),
        ("'Never say # this'", None),
        ('"Never say" # this', None),
        ("|\n      Never say # this", None),
    ],
)
def test_a_comment_that_cuts_a_text_short_is_reported(compile: Compile, written: str, column: int | None) -> None:
    compilation = compile(f"{SMALL}contributors:\n  - type: text\n    text: {written}\n")
    found = [(d.code, d.span.column) for d in compilation.diagnostics]
    assert found == ([] if column is None else [("comment-in-text", column)])


def test_comments_behind_templates_descriptions_and_other_values_are_told_apart(compile: Compile) -> None:
    compilation = compile(
        f"""{SMALL}settings:
  temperature: 0.5 # not a text
contributors:
  - type: template
    template: "{{{{ session }}}}" # who asks
  - {{type: text, name: two, # the second
     text: Never say # this
    }}
tools:
  - type: http
    name: find # its name
    url: http://127.0.0.1/x # its address
    description: Finds orders by # and number
"""
    )
    assert [(d.code, d.span.line) for d in compilation.diagnostics] == [
        ("comment-in-text", 11),
        ("comment-in-text", 17),
    ]


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ('contributors: [{type: text, text: "Help with {{ product }}."}]', (6, 46)),
        ('contributors: [{type: text, text: "Ask {{ customer | upper }}."}]', (6, 40)),
        ("contributors:\n  - type: text\n    text: |\n      For the users\n      of {{- user }}.", (10, 10)),
        ('messages: [{role: user, text: "{{ product }}?"}, {role: assistant, text: Yes.}]', (6, 32)),
        ('tenants: {a: {with: {vars: {own: x}, contributors: [{type: text, text: "{{ own }}"}]}}}', (6, 73)),
        ('contributors: [{type: text, text: "Help with {{ prodct }}."}]', (6, 46)),
        ('contributors: [{type: text, text: "{{ prodct }} or {{ product }}"}]', (6, 52)),
        ('contributors: [{type: text, text: "Write { product }, or {{ 1 }}."}]', None),
        ('contributors: [{type: template, template: "{{ product }}"}]', None),
        ('contributors: [{type: text, text: "' + "{{a" * 100 + "b" * 100_000 + '"}]', None),
    ],
)
def test_a_text_with_the_braces_of_a_template_is_reported(
    compile: Compile, section: str, place: tuple[int, int] | None
) -> None:
    head = "victor: 1\nname: s\nmodels: {main: {type: echo}}\nvars: {product: Acme}\ninputs: {customer: {default: x}}\n"
    found = [d for d in compile(f"{head}{section}\n").diagnostics if d.code == "template-in-text"]
    assert [(d.span.line, d.span.column, d.severity) for d in found] == ([(*place, "warning")] if place else [])
