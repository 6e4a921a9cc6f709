"""Files of the prompt that git ignores: what the rule says is what git says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from victor_dsl.compiler import compile_spec

GIT = shutil.which("git")
SPEC = "victor: 1\nname: x\nmodels: {main: {type: echo}}\ncontributors: [{type: file, path: prompts/base.md}]\n"


def found(folder: Path, *, untrusted: bool = False) -> list[str]:
    made = compile_spec(str(folder / "victor.yml"), environment={}, untrusted=untrusted)
    return [d.hint or "" for d in made.diagnostics if d.code == "ignored-file"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a spec in a folder of it, and a prompt beside the spec."""
    if GIT is None:
        pytest.skip("needs git")
    subprocess.run([GIT, "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "app" / "prompts").mkdir(parents=True)
    (tmp_path / "app" / "victor.yml").write_text(SPEC)
    (tmp_path / "app" / "prompts" / "base.md").write_text("Be kind.")
    return tmp_path


@pytest.mark.parametrize(
    "files",
    [
        {},
        {".gitignore": "*.md\n"},
        {".gitignore": "*.md\n!base.md\n"},
        {".gitignore": "prompts/\n"},
        {".gitignore": "prompts/\n!app/prompts/base.md\n"},
        {".gitignore": "/prompts/\n"},
        {".gitignore": "app/prompts/*\n!app/prompts/base.md\n"},
        {".gitignore": "app/*\n", "app/.gitignore": "!prompts\n"},
        {".gitignore": "*.md\n", "app/.gitignore": "!*.md\n"},
        {".gitignore": "!*.md\n", "app/prompts/.gitignore": "base.md\n"},
        {"app/.gitignore": "# base.md\n\n**/b?se.md\n"},
        {"app/.gitignore": "prompts/[a-b]ase.md\n"},
    ],
    ids=str,
)
def test_a_file_has_a_warning_where_git_ignores_it(repository: Path, files: Mapping[str, str]) -> None:
    assert GIT is not None
    for name, text in files.items():
        (repository / name).write_text(text)
    says = subprocess.run([GIT, "check-ignore", "-q", "app/prompts/base.md"], cwd=repository, check=False)
    assert bool(found(repository / "app")) == (says.returncode == 0)


@pytest.mark.parametrize("ignored", ["*.md\n", "prompts/\n"])
def test_what_the_hint_says_makes_git_follow_the_file(repository: Path, ignored: str) -> None:
    (repository / "app" / ".gitignore").write_text(ignored)
    (hint,) = found(repository / "app")
    lines = [part for part in hint.split("`")[1::2] if part != ignored.strip()]
    (repository / "app" / ".gitignore").write_text("\n".join([*([] if len(lines) > 1 else [ignored]), *lines]))
    assert found(repository / "app") == []


def test_a_file_that_was_added_by_force_has_none(repository: Path) -> None:
    assert GIT is not None
    (repository / ".gitignore").write_text("*.md\n")
    subprocess.run([GIT, "add", "--force", "app/prompts/base.md"], cwd=repository, check=True)
    assert found(repository / "app") == []


def test_an_untrusted_spec_has_none_since_nothing_outside_its_folder_is_read(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.md\n")
    assert found(repository / "app", untrusted=True) == []
    assert len(found(repository / "app")) == 1
