"""`victor graph` draws one plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interfaces.conftest import Victor

SPEC = """\
victor: 1
name: demo
models:
  main: {type: echo}
  spare: {type: echo}
settings: {model: main, fallbacks: [spare]}
databases:
  app: {type: sqlite, path: a.db}
contributors:
  - {type: text, name: tone, text: hi, priority: 70}
  - {type: text, name: late, text: ho}
compaction: {type: recent, fallback: recent}
sessions: {type: sqlite, path: a.db}
variants:
  tone: {arms: {control: {weight: 1}, warm: {weight: 1, with: {settings: {model: spare}}}}}
tenants:
  acme: {with: {contributors: {late: null}}}
"""


@pytest.fixture
def spec(folder: Path) -> str:
    (folder / "victor.yml").write_text(SPEC)
    return "victor.yml"


def test_the_text_is_a_tree_in_the_order_of_a_request(victor: Victor, spec: str) -> None:
    done = victor("graph", spec)
    assert done.code == 0
    title, *lines = done.out.splitlines()
    assert title.startswith("demo · plan ")
    stages = [line.strip("├└─ ") for line in lines if line[0] in "├└"]
    assert stages == ["history", "system prompt", "compaction", "answer"]
    assert "│  ├─ tone (text)  priority 70" in done.out
    assert "victor.yml:10\n" in done.out
    assert "main (echo)  answers" in done.out
    assert "spare (echo)  stands in" in done.out


def test_a_tenants_and_an_arms_plan_are_drawn_as_they_are(victor: Victor, spec: str) -> None:
    assert "late (text)" not in victor("graph", spec, "--tenant", "acme").out
    assert "spare (echo)  answers" in victor("graph", spec, "--arm", "tone=warm").out


def test_an_item_that_an_overlay_changes_is_placed_there(victor: Victor, folder: Path) -> None:
    changed = SPEC.replace("{settings: {model: spare}}", "{contributors: {tone: {text: hu}}}")
    (folder / "victor.yml").write_text(changed)
    lines = victor("graph", "victor.yml", "--arm", "tone=warm").out.splitlines()
    assert next(line for line in lines if "tone (text)" in line).endswith("  victor.yml:15 (arm tone.warm)")
    assert next(line for line in lines if "late (text)" in line).endswith("  victor.yml:11")


def test_the_specs_messages_are_stages_with_their_lines(victor: Victor, folder: Path) -> None:
    messages = "messages:\n  - {role: user, text: Hi}\n  - {role: assistant, template: Ho}\n"
    (folder / "victor.yml").write_text(f'{SPEC}{messages}message: {{template: "<q>{{{{ message }}}}</q>"}}\n')
    lines = [" ".join(line.strip("│├└─ ").split()) for line in victor("graph", "victor.yml").out.splitlines()]
    first = lines.index("few-shot messages")
    assert lines[first + 1 : first + 5] == [
        "0 (text) user victor.yml:19", "1 (template) assistant victor.yml:20",
        "what the user says", "template victor.yml:21",
    ]  # fmt: skip
    for drawing in ("mermaid", "dot"):
        assert "what the user says" in victor("graph", "victor.yml", "--format", drawing).out


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ("tome=warm", "variants has no 'tome'; did you mean 'tone'?"),
        ("tone=warn", "variants.tone has no arm 'warn'; did you mean 'warm'?"),
        ("tone", "--arm expects EXPERIMENT=ARM, not 'tone'"),
    ],
)
def test_an_arm_that_is_not_there_is_wrong_usage(victor: Victor, spec: str, arm: str, told: str) -> None:
    done = victor("graph", spec, "--arm", arm)
    assert done.code == 2
    assert told in done.err


def test_mermaid_links_every_stage(victor: Victor, spec: str) -> None:
    out = victor("graph", spec, "--format", "mermaid").out
    assert out.startswith("flowchart TD\n")
    assert "request --> stage0" in out
    assert "stage3 --> reply" in out
    assert out.count("subgraph") == out.count("\n  end\n") == 4


def test_dot_is_balanced_and_quotes_every_name(victor: Victor, spec: str) -> None:
    out = victor("graph", spec, "--format", "dot").out
    assert out.startswith('digraph "demo" {\n')
    assert out.count("{") == out.count("}")
    assert '"models/main" [label="main (echo)\\nanswers"];' in out
