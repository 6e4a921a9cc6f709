"""What the language server answers, for specs that are whole and specs that are being typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interfaces.lsp.shop import SPEC, write
from victor_dsl.interfaces.lsp.answers import Answers, Proposal
from victor_dsl.interfaces.lsp.grammar import Grammar
from victor_dsl.interfaces.lsp.workspace import Workspace

GRAMMAR = Grammar()


class Buffers:
    """A workspace whose cursor is written as `|`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace()
        self.answers = Answers(self.workspace, GRAMMAR)
        write(folder)
        self.workspace.analyse(str(folder / "victor.yml"))

    def place(self, name: str, marked: str, at: str = "|") -> tuple[str, str, int, int]:
        before, _, after = marked.partition(at)
        path, text = str(self.folder / name), before + after
        self.workspace.buffers[path] = text.encode()
        if "}" in after or name.endswith(".yml"):
            self.workspace.analyse(str(self.folder / "victor.yml"))
        return path, text, before.count("\n"), len(before.rpartition("\n")[2])

    def complete(self, name: str, marked: str, at: str = "|") -> dict[str, Proposal]:
        return {one.label: one for one in self.answers.completion(*self.place(name, marked, at))}


@pytest.fixture
def buffers(tmp_path: Path) -> Buffers:
    return Buffers(tmp_path)


@pytest.mark.parametrize(
    ("marked", "some", "none"),
    [
        ("vic|", {"victor", "models", "tools"}, {"type"}),
        (SPEC + "com|", {"compaction"}, {"temperature"}),
        (
            SPEC.replace("temperature: 0.3", "temperature: 0.3\n  max|"),
            {"max_tokens", "max_tool_rounds"},
            {"temperature", "models"},
        ),
        (
            SPEC.replace("  spare: {type: echo}", "  spare: {type: openai, |"),
            {"base_url", "api_key", "model"},
            {"type", "replies"},
        ),
        (SPEC.replace("  spare: {type: echo}", "  spare:\n    type: scripted\n    re|"), {"replies"}, {"base_url"}),
        (SPEC.replace("  spare: {type: echo}", "  spare:\n    |\n    type: scripted"), {"replies"}, {"base_url"}),
        (
            SPEC.replace("  - {type: text, name: tone, text: Be brief.}", "  - type: text\n    pri|"),
            {"priority"},
            {"function"},
        ),
        (SPEC.replace("    with:\n", "    wi|\n    with:\n"), {"with"}, {"models"}),
    ],
)
def test_keys_are_completed(buffers: Buffers, marked: str, some: set[str], none: set[str]) -> None:
    found = buffers.complete("victor.yml", marked)
    assert some <= found.keys()
    assert not none & found.keys()
    key = found[min(some)]
    assert key.insert == f"{key.label}: "
    assert key.documentation


@pytest.mark.parametrize(
    ("marked", "some", "none"),
    [
        (SPEC.replace("spare: {type: echo}", "spare: {type: |"), {"openai", "anthropic", "echo"}, {"sqlite", "main"}),
        (SPEC.replace("  - {type: text, name: tone, text: Be brief.}", "  - |"), {"standards"}, {"openai"}),
        (SPEC + "compaction:\n  type: se|", {"semantic", "summarize"}, {"text"}),
        (SPEC.replace("name: tone", "optional: |"), set(), {"openai"}),
        (SPEC + "prompt:\n  overflow: |", {"drop", "truncate", "fail"}, set()),
    ],
)
def test_types_and_words_are_completed(buffers: Buffers, marked: str, some: set[str], none: set[str]) -> None:
    found = buffers.complete("victor.yml", marked)
    assert some <= found.keys()
    assert not none & found.keys()


@pytest.mark.parametrize(
    ("marked", "some"),
    [
        (SPEC.replace("model: main", "model: |"), {"main", "spare"}),
        (SPEC.replace("model: main", "fallbacks: [sp|]"), {"main", "spare"}),
        (SPEC + "providers:\n  - {type: tenant, database: |", {"app"}),
        (SPEC + "sessions: {type: sqlite, database: '|", {"app"}),
        (SPEC.replace("temperature: 0.3", "limits: {tools: {deny: [|"), {"lookup"}),
        (SPEC.replace("    arms:\n", "    control: |\n    arms:\n"), {"control", "warm"}),
        (SPEC.replace("contributors: {tone: {text: Be kind.}}", "contributors: {|"), {"role", "tone"}),
        (SPEC.replace("contributors: {tone: {text: Be kind.}}", "variants: {|"), {"warmth"}),
        (SPEC + "embedders: {words: {type: tfidf}}\ncompaction:\n  type: semantic\n  embedder: |", {"words"}),
        (SPEC + "tests:\n  - name: x\n    given: {tenant: |", {"acme"}),
    ],
)
def test_names_are_completed_also_in_broken_yaml(buffers: Buffers, marked: str, some: set[str]) -> None:
    assert some <= buffers.complete("victor.yml", marked).keys()


@pytest.mark.parametrize(
    ("name", "marked", "some"),
    [
        ("role.md.j2", "You help with {{ pro|", {"product", "plan", "settings", "tenant"}),
        ("role.md.j2", "{% if plan.|", {"name"}),
        ("role.md.j2", "{{ settings.| }}", {"model", "temperature"}),
        (
            "victor.yml",
            SPEC.replace("text: Be brief.", 'template: "Help with {{ |"').replace("type: text", "type: template"),
            {"product"},
        ),
    ],
)
def test_template_variables_are_completed(buffers: Buffers, name: str, marked: str, some: set[str]) -> None:
    found = buffers.complete(name, marked)
    assert some <= found.keys()
    assert "models" not in found


def test_variables_are_completed_in_a_block_text(buffers: Buffers) -> None:
    found = buffers.complete("victor.yml", SPEC + "message:\n  template: |\n    <q>{{ pro@\n    }}</q>\n", "@")
    assert "product" in found


def test_nothing_is_completed_outside_of_an_expression(buffers: Buffers) -> None:
    assert buffers.complete("role.md.j2", "You help with {{ product }} pro|") == {}


def test_tools_of_servers_come_from_the_lock(buffers: Buffers) -> None:
    (buffers.folder / "victor.lock").write_text(
        '{"version": 1, "spec": "shop", "models": {}, "servers": {"tools/desk": {"server": "desk", "instructions": "", '
        '"tools": {"desk__find": {"description": "Finds.", "parameters": {}}}}}}'
    )
    marked = SPEC.replace("temperature: 0.3", "limits: {tools: {deny: [|")
    assert {"lookup", "desk__find"} <= buffers.complete("victor.yml", marked).keys()


@pytest.mark.parametrize(
    ("name", "marked", "expected"),
    [
        ("victor.yml", SPEC.replace("model: main", "model: ma|in"), ("victor.yml", 5)),
        ("victor.yml", SPEC.replace("base.yml", "ba|se.yml"), ("base.yml", 1)),
        ("victor.yml", SPEC.replace("role.md.j2", "role|.md.j2"), ("role.md.j2", 1)),
        ("victor.yml", SPEC.replace("{tone: {text: Be kind", "{to|ne: {text: Be kind"), ("victor.yml", 15)),
        ("role.md.j2", "You help with {{ prod|uct }}.\n", ("victor.yml", 12)),
        ("role.md.j2", "You help with prod|uct.\n", None),
        ("victor.yml", SPEC.replace("Be brief", "Be br|ief"), None),
    ],
)
def test_definitions_are_found(buffers: Buffers, name: str, marked: str, expected: tuple[str, int] | None) -> None:
    found = buffers.answers.definition(*buffers.place(name, marked))
    assert (None if found is None else (Path(found.file).name, found.line)) == expected


def test_typing_a_spec_letter_by_letter_answers_always(buffers: Buffers) -> None:
    for end in range(0, len(SPEC), 7):
        place = buffers.place("victor.yml", SPEC[:end] + "|")
        buffers.answers.completion(*place)
        buffers.answers.hover(*place)
        buffers.answers.definition(*place)
