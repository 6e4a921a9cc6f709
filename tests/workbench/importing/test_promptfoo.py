"""promptfoo's configurations become specs that compile, with their cases as tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.workbench.importing.importing import Result, imported
from victor_dsl.errors import SpecError
from victor_dsl.source.located import NOWHERE
from victor_dsl.workbench.importing.assertions import Assertion, expectations
from victor_dsl.workbench.importing.promptfoo import read_promptfoo
from victor_dsl.workbench.importing.sources import Imported


def promptfoo(folder: Path, text: str, prompt: str | None = None) -> Result:
    return imported(read_promptfoo, folder, "promptfooconfig.yaml", text, prompt)


def test_a_prompt_with_variables_providers_and_cases(tmp_path: Path) -> None:
    done = promptfoo(
        tmp_path,
        """\
description: Translations
prompts:
  - "Translate into {{language}}: {{text}}"
  - {label: short, raw: "In {{language}}: {{text}}"}
  - file://prompt.py
providers:
  - openai:gpt-4.1-mini
  - {id: "anthropic:messages:claude-sonnet-5-5", label: big, config: {temperature: 0, max_tokens: 90, tools: []}}
  - bedrock:titan
  - {id: "openai:responses:gpt-5-mini", config: {reasoning: {effort: low}, odd: 1}}
defaultTest: {vars: {language: French}}
tests:
  - vars: {text: Good morning}
    assert: [{type: contains, value: Bonjour}]
  - description: In Spanish
    vars: {language: Spanish, text: "$${env:HOME}"}
    assert: [{type: contains, value: "{{language}}"}, {type: javascript, value: output.length < 9}]
  - file://cases.csv
outputPath: out.json
unheard: 1
""",
    )
    assert done.spec["models"] == {
        "gpt-4.1-mini": {"type": "openai", "model": "gpt-4.1-mini", "api_key": "${env:OPENAI_API_KEY}"},
        "big": {
            "type": "anthropic",
            "model": "claude-sonnet-5-5",
            "api_key": "${env:ANTHROPIC_API_KEY}",
            "settings": {"temperature": 0, "max_tokens": 90},
        },
        "gpt-5-mini": {
            "type": "openai",
            "model": "gpt-5-mini",
            "api_key": "${env:OPENAI_API_KEY}",
            "api": "responses",
            "settings": {"reasoning_effort": "low"},
        },
    }
    assert done.spec["message"] == {"template": "Translate into {{language}}: {{message}}"}
    assert done.spec["inputs"] == {"language": {"required": True}}
    assert "# `{{text}}` is what the user says: the request's message." in done.text
    assert done.spec["tests"] == [
        {
            "name": "language: French, text: Good morning",
            "given": {"message": "Good morning", "inputs": {"language": "French"}},
            "expect": {"reply": {"contains": "Bonjour"}},
        },
        {
            "name": "In Spanish",
            "given": {"message": "$$${env:HOME}", "inputs": {"language": "Spanish"}},
            "expect": {"reply": {"contains": "Spanish"}},
        },
    ]
    assert set(done.not_taken) == {
        "4: prompt 'short'",
        "5: prompts[2]",
        "8: providers[1].config.tools",
        "9: providers[2]: bedrock:titan",
        "10: providers[3].config.odd",
        "17: tests[1].assert[1]",
        "18: tests[2]",
        "19: outputPath",
        "20: unheard",
    }


def test_messages_in_a_file_become_contributors_examples_and_the_message(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text(
        '[{"role": "system", "content": "You help users of {{product}}."},'
        ' {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"},'
        ' {"role": "user", "content": "{{question}}"}]'
    )
    done = promptfoo(tmp_path, "prompts: [file://chat.json]\nproviders: [ollama:chat:qwen3]\n")
    assert done.spec["contributors"] == [
        {"type": "template", "name": "system", "template": "You help users of {{product}}."}
    ]
    assert done.spec["messages"] == [{"role": "user", "text": "Hi"}, {"role": "assistant", "text": "Hello!"}]
    assert "message" not in done.spec
    assert done.spec["inputs"] == {"product": {"required": True}}
    assert done.spec["models"]["qwen3"]["base_url"] == "http://127.0.0.1:11434/v1"


def test_several_prompts_in_a_file_are_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("One {{x}}\n---\nTwo {{x}}\n")
    text = "prompts: p.txt\nproviders: [openai:gpt-4.1-mini]\n"
    assert promptfoo(tmp_path, text).spec["message"]["template"] == "One {{message}}"
    assert promptfoo(tmp_path, text, "p.txt-2").spec["message"]["template"] == "Two {{message}}"
    with pytest.raises(SpecError, match=r"there is no prompt 'x'; there are p\.txt, p\.txt-2"):
        promptfoo(tmp_path, text, "x")


def test_names_that_templates_have_for_themselves_are_changed_everywhere(tmp_path: Path) -> None:
    done = promptfoo(
        tmp_path, 'prompts: ["{% if user %}Dear {{user}}, {% endif %}{{ a }} {{ b }}"]\nproviders: [echo]\n'
    )
    assert done.spec["message"]["template"] == "{% if user_given %}Dear {{user_given}}, {% endif %}{{ a }} {{ b }}"
    assert set(done.spec["inputs"]) == {"user_given", "a", "b"}
    assert done.spec["models"] == {"main": {"type": "echo"}}


def test_a_key_is_never_copied(tmp_path: Path) -> None:
    key = "sk-" + "a1B2" * 8
    done = promptfoo(
        tmp_path,
        f'prompts: ["Use {key} for {{{{x}}}}"]\nproviders: [{{id: "openai:gpt-4.1-mini", config: {{apiKey: {key}}}}}]\n',
    )
    assert key not in done.text
    assert done.spec["message"]["template"] == "Use [api_key] for {{message}}"
    assert set(done.not_taken) == {"1: ", "2: providers[0].config.apiKey"}


@pytest.mark.parametrize(
    ("assertions", "expected"),
    [
        ([{"type": "equals", "value": "A"}], {"reply": {"equals": "A"}}),
        ([{"type": "contains-all", "value": ["a", "b"]}], {"reply": {"contains": ["a", "b"]}}),
        ([{"type": "contains-any", "value": ["a.", "b c"]}], {"reply": {"matches": r"a\.|b c"}}),
        ([{"type": "icontains", "value": "x"}], {"reply": {"matches": "(?i:x)"}}),
        ([{"type": "not-contains", "value": "x"}], {"reply": {"not_contains": "x"}}),
        ([{"type": "regex", "value": "(?i)a(?<n>b)"}], {"reply": {"matches": "(?i:a(?P<n>b))"}}),
        ([{"type": "is-json"}], {"reply": {"json_schema": {}}}),
        ([{"type": "is-json", "value": {"type": "object"}}], {"reply": {"json_schema": {"type": "object"}}}),
        ([{"type": "equals", "value": {"a": 1}}], {"reply": {"json_schema": {"const": {"a": 1}}}}),
        ([{"type": "cost", "threshold": 0.1}], {"cost_usd": {"at_most": 0.1}}),
        ([{"type": "latency", "threshold": 900}], {"latency_ms": {"at_most": 900}}),
        (
            [{"type": "llm-rubric", "value": "It is polite to {{name}}.", "threshold": 0.8}],
            {"judge": {"model": "m", "rubric": "It is polite to Bob.", "at_least": 0.8}},
        ),
        (
            [{"type": "icontains", "value": "a"}, {"type": "regex", "value": "b+"}],
            {"reply": {"matches": r"\A(?=[\s\S]*?(?:(?i:a)))(?=[\s\S]*?(?:b+))"}},
        ),
    ],
)
def test_assertions_that_a_test_of_a_spec_can_say(assertions: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    report = Imported()
    made = expectations([Assertion(one, NOWHERE, "") for one in assertions], {"name": "Bob"}, "m", report)
    assert (made, report.not_taken) == (expected, [])


@pytest.mark.parametrize(
    ("assertion", "why"),
    [
        ({"type": "python", "value": "True"}, "it is a program"),
        ({"type": "similar", "value": "x"}, "there is no comparison by vectors"),
        ({"type": "contains", "value": "{{nobody}}"}, "its value uses 'nobody'"),
        ({"type": "regex", "value": "("}, "it is no regular expression"),
        ({"type": "cost"}, "it has no threshold"),
        ({"type": "is-json", "value": "file://schema.json"}, "its value is the content of a file"),
        ({"type": "contains"}, "it has no value"),
        ({"type": "invented"}, "there is no expectation like 'invented'"),
        ({}, "there is no expectation like ''"),
    ],
)
def test_assertions_that_it_cannot_say_are_named(assertion: dict[str, Any], why: str) -> None:
    report = Imported()
    assert expectations([Assertion(assertion, NOWHERE, "here")], {}, "m", report) == {}
    assert [one.why.startswith(why) for one in report.not_taken] == [True]


def test_a_program_as_configuration_and_one_without_prompts_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="it is a program"):
        read_promptfoo("promptfooconfig.js", None)
    with pytest.raises(SpecError, match="there is no prompt in it that is text") as caught:
        promptfoo(tmp_path, "prompts: [file://a.py, file://none.txt]\n")
    assert len(caught.value.diagnostics) == 2


def test_what_nunjucks_writes_otherwise_and_what_templates_show_of_types(tmp_path: Path) -> None:
    prompt = "{{ x | dump }}{% if a %}b{% elseif c %}d{% endif %}{{ user.name }}{% for i in rows %}{{ i }}{% endfor %}{{ q }}"
    done = promptfoo(tmp_path, json.dumps({"prompts": [prompt], "providers": ["openai:gpt-4.1"]}))
    assert (
        "{{ x | tojson }}{% if a %}b{% elif c %}d{% endif %}{{ user_given.name }}" in done.spec["message"]["template"]
    )
    assert done.spec["inputs"]["user_given"] == {"type": "map", "required": True}
    assert done.spec["inputs"]["rows"] == {"type": "list", "required": True}


def test_keys_of_assertions_and_variables_that_nothing_uses_are_named(tmp_path: Path) -> None:
    case = {"vars": {"q": "a", "spare": "b"}, "assert": [{"type": "contains", "value": "x", "weight": 2, "odd": 1}]}
    config = {"prompts": ["Say {{q}}"], "providers": ["openai:gpt-4.1"], "tests": [case]}
    done = promptfoo(tmp_path, json.dumps(config, indent=1))
    assert {place.split(": ")[1] for place in done.not_taken} == {
        "tests[0].vars.spare",
        "tests[0].assert[0].weight",
        "tests[0].assert[0].odd",
    }


def test_a_case_in_a_file_that_is_no_map_is_named(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text("- {vars: {q: a}, assert: [{type: contains, value: x}]}\n- 5\n")
    config = {"prompts": ["Say {{q}}"], "providers": ["openai:gpt-4.1"], "tests": "file://cases.yaml"}
    done = promptfoo(tmp_path, json.dumps(config))
    assert done.not_taken == {"2: [1]": "it is not a map"}
    assert len(done.spec["tests"]) == 1
