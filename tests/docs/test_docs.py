"""The pages are true: their specs validate, their commands print what they say, their links lead somewhere."""

from __future__ import annotations

import contextlib
import re
import subprocess
from datetime import date, timedelta
from pathlib import Path

import pytest

from docs.generate import main, pages
from tests.docs.blocks import Block, blocks, matches, run
from tests.warm import Warm
from victor_dsl.compiler import compile_spec
from victor_dsl.components.known_models import find_known_model
from victor_dsl.language.codes import CODES
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.values.settings import SETTING_NAMES

ROOT = Path(__file__).parent.parent.parent
WRITTEN = sorted([ROOT / "README.md", *(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "reference")])
ALL = [*WRITTEN, *sorted((ROOT / "docs" / "reference").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_every_block_of_a_page_is_true(page: Path, tmp_path: Path, warm: Warm) -> None:
    story = blocks(page)
    if any("fastapi" in block.text for block in story if block.language == "python"):
        pytest.importorskip("fastapi", reason="fastapi is not installed: `./dev test` does it")
    for number, block in enumerate(story):
        if block.file is not None:
            (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        whole = block.file is not None and block.text.startswith("victor: 1\n")
        if whole and not _validated(block.file or "", story[number + 1 : number + 2]):
            with contextlib.chdir(tmp_path):
                found = compile_spec(block.file or "", environment={}).diagnostics
            assert [f"{_name(page)}:{block.line + d.span.line}: {d.message}" for d in found] == []
        for command, expected in block.commands():
            printed = run(command, tmp_path, warm.python)
            assert matches(expected, printed), f"{_name(page)}:{block.line}: $ {command}\n{printed}"
        if block.language == "python" and block.file is None:
            _run_python(block, tmp_path, warm.python)


def _validated(file: str, following: list[Block]) -> bool:
    """Whether the next block shows what `victor validate` says of a file."""
    commands = [command for block in following for command, _ in block.commands()]
    return any("validate" in command and file in command for command in commands)


def _run_python(block: Block, folder: Path, python: Path) -> None:
    done = subprocess.run([python, "-c", block.text], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", ALL, ids=_name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, heading = target.partition("#")
        there = (page.parent / file) if file else page
        assert there.exists(), target
        if heading:
            assert heading in _headings(there), target


def _headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_generated_files_are_current() -> None:
    assert main(["--check"]) == 0


def test_what_is_old_or_gone_is_named_and_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("docs.generate.ROOT", tmp_path)
        assert main(["--check"]) == 1
        assert "schemas/victor.schema.json is not current" in capsys.readouterr().err
        assert main([]) == 0
        gone = tmp_path / "docs" / "reference" / "unheard-of.md"
        gone.write_text("", encoding="utf-8")
        assert main(["--check"]) == 1
        assert main([]) == 0
        assert not gone.exists()
        assert main(["--check"]) == 0


def test_the_reference_names_every_component_setting_and_code() -> None:
    registry = Registry(entry_points=False)
    made = pages(registry)
    for kind in KINDS:
        for type in registry.types(kind):
            assert f"\n## {type}\n" in made[f"docs/reference/{kind}.md"]
    for name in SETTING_NAMES:
        assert f"| `{name}` |" in made["docs/reference/spec.md"]
    for code in CODES:
        assert f"\n### {code}\n" in made["docs/reference/diagnostics.md"]


def test_dots_in_a_page_stand_for_anything_on_their_line_and_alone_for_any_lines() -> None:
    assert matches("a\n…\nd\n", "a\nb\nc\nd\n")
    assert not matches("a\n…\nd\n", "a\nb\nc\n")
    assert matches("a … c\n", "a b c")
    assert not matches("a … c\n", "a b\nx c")
    assert not matches("a\n", "a\nb")


MODEL = re.compile(
    r"(?<![\w.-])(?:claude-(?:opus|sonnet|haiku|fable|\d)[\w.-]*\d|gpt-\d[\w.-]*|o[134](?:-mini|-pro)?(?=[,}\"'` ])|"
    r"(?:gemini|grok|kimi)-\d[\w.-]*|deepseek-[a-z]\w*[\w.-]*)"
)
TAUGHT = [
    *(page for page in ALL if page.name != "diagnostics.md"),  # made of the pages of the codes
    *(ROOT / "examples").rglob("*.*"),
    *(ROOT / "schemas").glob("*.json"),
    *(ROOT / "victor_dsl" / "interfaces").rglob("*.yml"),
    *(path for path in (ROOT / "victor_dsl" / "language" / "codes").glob("*.md") if "retire" not in path.name),
]
TODAY = date(2026, 11, 26)
FAMILIES = {"o1", "gpt-5"}
"""Names that stand for all later models too, in descriptions of what these refuse."""


def _without_retirement(text: str) -> str:
    """A page without its section on models that retire, which has to name one."""
    return text.partition("## Models that retire\n")[0]


def test_no_page_or_example_teaches_a_model_that_dies_within_a_year() -> None:
    names = {
        (name.rstrip(".-"), _name(path))
        for path in TAUGHT
        if path.is_file()
        and path.suffix in (".md", ".yml", ".yaml", ".json", ".py", ".jsonl")
        and path.name != "CHANGELOG.md"
        for name in MODEL.findall(_without_retirement(path.read_text(encoding="utf-8")))
    }
    dying = {
        (name, page): str(known.retires)
        for name, page in names
        if (known := find_known_model(name)) and known.retires and known.retires < TODAY + timedelta(days=365)
        if name not in FAMILIES
    }
    assert len(names) > 10
    assert dying == {}
