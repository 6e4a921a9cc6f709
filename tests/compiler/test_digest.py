"""The digest: equal for equal meaning, on every machine and in every process; different for what it covers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.compiler.conftest import Compile, Programme

SPEC = """\
victor: 1
name: support
models:
  main: {type: echo, context_window: 90000}
  spare: {type: echo}
databases:
  app: {type: sqlite, path: app.db}
settings: {model: main, fallbacks: [spare], temperature: 0.5}
vars: {product: Acme, plan: free}
providers:
  - {type: inline, values: {settings: {seed: 1}}}
contributors:
  - {type: text, name: tone, text: Be brief.}
  - {type: file, path: prompts/standards.md}
  - {type: template, path: prompts/base.md.j2}
middleware: [logging]
exporters:
  - {type: jsonl, path: events.jsonl}
sessions: memory
tenants:
  acme: {with: {vars: {plan: gold}}}
variants:
  tone:
    arms:
      control: {weight: 2}
      warm: {weight: 1, with: {settings: {temperature: 0.9}}}
tests:
  - {name: it greets, given: {message: hi}, expect: {reply: {contains: hi}}}
"""
FILES = {
    "prompts/standards.md": "Say please.\n",
    "prompts/base.md.j2": "You support {{ product }}{% include 'more.j2' %}\n",
    "prompts/more.j2": ", {{ plan }}.\n",
}
PLANS: tuple[tuple[str | None, Mapping[str, str]], ...] = (
    (None, {}),
    ("acme", {}),
    (None, {"tone": "warm"}),
    ("acme", {"tone": "warm"}),
)


def digests(program: Programme, text: str = SPEC, **options: Any) -> list[str]:
    """The digests of all plans of a spec."""
    made = program(text, {**FILES, **options.pop("files", {})}, **options)
    return [made.plan_for(tenant, arms).digest for tenant, arms in PLANS]


def test_every_plan_has_a_digest_of_its_own(program: Programme) -> None:
    assert len(set(digests(program))) == len(PLANS)


ALIKE = {
    "comments and blank lines": SPEC.replace("\nsettings:", "\n\n# why\nsettings:   # these\n  ").replace(
        "  {model", "    {model"
    ),
    "the order of keys": SPEC.replace(
        "{type: text, name: tone, text: Be brief.}", "{text: Be brief., name: tone, type: text}"
    ),
    "the order of sections": "\n".join(
        ["vars: {plan: free, product: Acme}", SPEC.replace("vars: {product: Acme, plan: free}\n", "")]
    ),
    "quotes": SPEC.replace("Be brief.", "'Be brief.'").replace("Acme", '"Acme"'),
    "an alias": SPEC.replace("{type: echo}", "&echo {type: echo}").replace(
        "main: {type: echo, context_window: 90000}", "main: {context_window: 90000, type: echo}"
    ),
    "a bare word written as a map": SPEC.replace("[logging]", "[{type: logging}]"),
    "a default written out": SPEC.replace("text: Be brief.", "text: Be brief., priority: 50"),
    "the kind of number": SPEC.replace("temperature: 0.5", "temperature: 5.0e-1"),
    "where a setting is written": SPEC.replace("temperature: 0.5", "temperature: 0.5, threshold: 0.7"),
    "exporters": SPEC.replace("{type: jsonl, path: events.jsonl}", "console"),
    "sessions": SPEC.replace("sessions: memory", "sessions: {type: sqlite, path: s.db}"),
    "a database that nothing needs": SPEC.replace("app.db", "other.db"),
    "tests": SPEC[: SPEC.index("tests:")],
    "weights": SPEC.replace("weight: 2", "weight: 7"),
    "coverage": SPEC.replace("  tone:\n    arms", "  tone:\n    coverage: 0.5\n    arms"),
    "status": SPEC.replace("  tone:\n    arms", "  tone:\n    status: stopped\n    arms"),
    "metrics": SPEC.replace("  tone:\n    arms", "  tone:\n    metrics: {goal: [thumbs_up]}\n    arms"),
    "the description": SPEC + "description: Helps.\n",
    "the name": SPEC.replace("name: support", "name: helpdesk"),
}


@pytest.mark.parametrize("difference", ALIKE)
def test_what_has_no_meaning_for_a_request_does_not_count(program: Programme, difference: str) -> None:
    text = ALIKE[difference]
    base = SPEC.replace("temperature: 0.5", "temperature: 0.5\ncompaction: {threshold: 0.7}").replace(
        "0.5\ncompaction: {threshold: 0.7}}", "0.5}\ncompaction: {threshold: 0.7}"
    )
    expected = digests(program, base if difference == "where a setting is written" else SPEC)
    assert digests(program, text) == expected


UNLIKE = {
    "a setting": SPEC.replace("0.5", "0.6"),
    "a var": SPEC.replace("Acme", "Apex"),
    "a model's field": SPEC.replace("90000", "80000"),
    "the text of a contributor": SPEC.replace("Be brief.", "Be kind."),
    "a priority": SPEC.replace("text: Be brief.", "text: Be brief., priority: 60"),
    "a type": SPEC.replace("{type: inline, values: {settings: {seed: 1}}}", "{type: env, prefix: S_}"),
    "the budget of the prompt": SPEC + "prompt: {max_tokens: 900}\n",
    "another middleware": SPEC.replace("[logging]", "[]"),
    "another contributor": SPEC.replace("middleware:", "  - {type: text, text: More.}\nmiddleware:"),
    "the order of contributors": SPEC.replace("  - {type: file, path: prompts/standards.md}\n", "").replace(
        "contributors:\n", "contributors:\n  - {type: file, path: prompts/standards.md}\n"
    ),
    "what selects tools": SPEC + "tool_selection: all\n",
    "what compacts": SPEC + "compaction: {deadline_seconds: 1}\n",
}


@pytest.mark.parametrize("difference", UNLIKE)
def test_what_the_model_may_be_sent_counts_in_every_plan(program: Programme, difference: str) -> None:
    before, after = digests(program), digests(program, UNLIKE[difference])
    assert [one == other for one, other in zip(before, after, strict=True)] == [False] * len(PLANS)


def test_an_overlay_counts_in_its_own_plans_alone(program: Programme) -> None:
    before, after = digests(program), digests(program, SPEC.replace("gold", "silver"))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True, False]


@pytest.mark.parametrize("file", FILES)
def test_the_content_of_every_prompt_template_and_included_file_counts(program: Programme, file: str) -> None:
    before, after = (
        digests(program),
        digests(program, files={file: FILES[file].replace(".\n", "!\n").replace("You", "We")}),
    )
    assert not set(before) & set(after)


def test_line_breaks_of_files_do_not_count(program: Programme) -> None:
    windows = {name: text.replace("\n", "\r\n") for name, text in FILES.items()}
    assert digests(program, files=windows) == digests(program)


def test_where_a_prompt_lies_does_not_count(program: Programme) -> None:
    moved = SPEC.replace("prompts/standards.md", "elsewhere/s.md")
    assert digests(program, moved, files={"elsewhere/s.md": FILES["prompts/standards.md"]}) == digests(program)


def test_a_resolved_variable_counts_and_the_way_it_was_given_does_not(program: Programme) -> None:
    text = SPEC.replace("product: Acme", 'product: "${env:PRODUCT}"')
    assert digests(program, text, environment={"PRODUCT": "Acme"}) == digests(program)
    assert digests(program, text, environment={"PRODUCT": "Apex"}) != digests(program)


def test_a_spec_in_json_has_the_digest_of_the_spec_in_yaml(program: Programme, compile: Compile) -> None:
    document: dict[str, Any] = {
        "victor": 1,
        "name": "support",
        "models": {"main": {"type": "echo"}},
        "settings": {"temperature": 0.5},
        "contributors": [{"type": "text", "text": "Be brief."}],
    }
    in_yaml = """\
        victor: 1
        name: support
        models: {main: {type: echo}}
        settings: {temperature: 0.5}
        contributors:
          - type: text
            text: Be brief.
        """
    in_json = program(json.dumps(document), name="victor.json").plan_for(None, {})
    assert in_json.digest == program(in_yaml).plan_for(None, {}).digest


def test_a_spec_that_extends_another_has_the_digest_of_the_two_in_one(program: Programme) -> None:
    cut = SPEC.index("settings:")
    base = SPEC[:cut] + "settings: {temperature: 0.1, seed: 9}\n"
    extending = f"victor: 1\nname: support\nextends: base.yml\n{SPEC[cut:]}".replace(
        "temperature: 0.5}", "temperature: 0.5, seed: null}"
    )
    assert digests(program, extending, files={"base.yml": base}) == digests(program)


def test_an_arm_that_changes_nothing_has_the_digest_of_the_base(program: Programme) -> None:
    made = program(SPEC, FILES)
    assert made.plan_for(None, {"tone": "control"}).digest == made.plan_for(None, {}).digest


def test_the_digest_is_the_same_in_another_process_folder_and_hash_seed(program: Programme, tmp_path: Path) -> None:
    expected = digests(program)
    moved = tmp_path / "moved" / "deep"
    shutil.copytree(tmp_path / "prompts", moved / "prompts")
    shutil.copy(tmp_path / "victor.yml", moved / "victor.yml")
    script = (
        "import json, sys\n"
        "from victor_dsl.compiler import compile_spec\n"
        "program = compile_spec(sys.argv[1], environment={}).program\n"
        "print(json.dumps([program.plan_for(tenant, arms).digest for tenant, arms in json.loads(sys.argv[2])]))\n"
    )
    for seed, name, folder in (("1", "deep/victor.yml", moved.parent), ("2", str(moved / "victor.yml"), Path("/"))):
        printed = subprocess.run(
            [sys.executable, "-c", script, name, json.dumps(PLANS)],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(printed.stdout) == expected
