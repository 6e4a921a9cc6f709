"""`victor init` writes a spec that validates and runs as it is, and the files beside it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import orjson
import pytest

from tests.interfaces.conftest import Victor
from victor_dsl.components.known_models import find_known_model
from victor_dsl.interfaces.cli.init import PROVIDERS


@pytest.mark.parametrize("directory", ["new", "a/b/c", "1 strange näme", "x" * 100])
def test_the_new_spec_validates_renders_and_runs_offline(victor: Victor, directory: str) -> None:
    made = victor("init", directory)
    assert made.code == 0
    assert made.out == ""
    path = f"{directory}/victor.yml"
    assert f"Wrote {path}\n" in made.err
    assert victor("validate", path, "--strict").code == 0
    assert "Acme Cloud" in victor("render", path, "--message", "Hello").json["system"]
    assert victor("run", path, "Hello").out == "Hello\n"


def test_what_init_says_to_try_works_as_it_stands(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = victor("init", "new").err
    commands = [line.split() for line in said.partition("Try it:")[2].splitlines() if line]
    assert commands.pop(0) == ["cd", "new"]
    monkeypatch.chdir(folder / "new")
    assert [words[:2] for words in commands] == [["victor", word] for word in ("validate", "render", "run")]
    assert [victor(*words[1:]).code for words in commands] == [0, 0, 0]


def test_the_real_model_of_the_new_spec_can_be_switched_on(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victor("init", "new")
    path = folder / "new" / "victor.yml"
    text = re.sub(r"# (claude: \{)", r"\1", path.read_text())
    path.write_text(text.replace("model: offline", "model: claude"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    done = victor("validate", "new/victor.yml", "--env")
    assert done.code == 0, done.out
    assert victor("render", "new/victor.yml", "--message", "Hello").json["settings"]["model"] == "claude"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_init_from_a_provider_writes_its_model(victor: Victor, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = victor("init", "new", "--from", provider)
    assert made.code == 0
    variable = PROVIDERS[provider].variable
    if variable:
        monkeypatch.delenv(variable, raising=False)
        assert f"export {variable}=" in made.err
        assert f"the variable {variable} is not set" in victor("validate", "new/victor.yml", "--env").out
        monkeypatch.setenv(variable, "a-key")
    done = victor("validate", "new/victor.yml", "--env", "--strict")
    assert done.code == 0, done.out


@pytest.mark.parametrize("provider", [name for name, it in PROVIDERS.items() if it.variable])
def test_the_models_of_init_are_known_and_not_retired(provider: str) -> None:
    name = re.search(r"model: ([\w.-]+)", PROVIDERS[provider].model)
    assert name is not None
    known = find_known_model(name[1])
    assert known is not None
    assert known.context_window
    assert known.prices
    assert known.retires is None


def test_the_first_line_names_a_schema_that_is_there(victor: Victor, folder: Path) -> None:
    victor("init", "new")
    first = (folder / "new" / "victor.yml").read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    schema = orjson.loads((folder / "new" / named[1]).read_bytes())
    assert schema == victor("schema").json
    jsonschema.Draft202012Validator.check_schema(schema)


def test_git_ignores_local_state_but_not_the_standards(victor: Victor, folder: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs git")
    victor("init", "new")
    new = folder / "new"
    (new / ".victor" / "standards.md").write_text("Be kind.")
    (new / ".victor" / "events.jsonl").write_text("")
    subprocess.run([git, "init", "-q"], cwd=new, check=True)
    listed = [git, "ls-files", "--others", "--exclude-standard"]
    shown = subprocess.run(listed, cwd=new, check=True, capture_output=True, text=True).stdout.split()
    assert sorted(shown) == [".gitignore", ".victor/standards.md", "victor.yml"]


def test_an_existing_gitignore_is_left_alone_and_its_missing_lines_are_named(victor: Victor, folder: Path) -> None:
    (folder / "new").mkdir()
    (folder / "new" / ".gitignore").write_text(".env\n")
    made = victor("init", "new", "--force")
    assert made.code == 0
    assert (folder / "new" / ".gitignore").read_text() == ".env\n"
    assert "add these lines: .victor/*  !.victor/standards.md\n" in made.err


def test_a_spec_that_is_there_is_left_alone_without_force(victor: Victor, folder: Path) -> None:
    before = (folder / "victor.yml").read_text()
    done = victor("init")
    assert done.code == 2
    assert "victor.yml exists already; --force replaces it" in done.err
    assert (folder / "victor.yml").read_text() == before
    assert not (folder / ".gitignore").exists()
    assert victor("init", "--force").code == 0
    assert (folder / "victor.yml").read_text() != before


def test_a_folder_that_is_a_file_is_named(victor: Victor, folder: Path) -> None:
    (folder / "file").write_text("")
    done = victor("init", "file")
    assert done.code == 2
    assert "file is a file, not a folder" in done.err
