"""The hooks of `.pre-commit-hooks.yaml`, run by the real pre-commit in a repository of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.interfaces.conftest import OFFLINE, ROOT

BIN = Path(sys.executable).parent


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PRE_COMMIT_HOME": str(cwd / ".cache"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com") if command[0] == "git" else ()
    words = [command[0], *identity, *command[1:]]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose hooks are this project's, with the victor that is installed here."""
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text())
    local = [{**hook, "language": "system"} for hook in hooks]  # no network: not built again
    with (tmp_path / ".pre-commit-config.yaml").open("w") as file:
        YAML().dump({"repos": [{"repo": "local", "hooks": local}]}, file)
    (tmp_path / "victor.yml").write_text(OFFLINE)
    assert run("git", "init", "-q", cwd=tmp_path).returncode == 0
    assert run("git", "add", "victor.yml", ".pre-commit-config.yaml", cwd=tmp_path).returncode == 0
    return tmp_path


def test_the_hooks_are_as_pre_commit_wants_them() -> None:
    done = run("pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"), cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_sound_specs_pass(repository: Path) -> None:
    for hook in ("victor-validate", "victor-fmt"):
        done = run("pre-commit", "run", hook, "--all-files", cwd=repository)
        assert done.returncode == 0, done.stdout
        assert "Passed" in done.stdout


def test_a_fault_stops_the_commit(repository: Path) -> None:
    (repository / "victor.yml").write_text(OFFLINE.replace("echo", "ecko"))
    done = run("pre-commit", "run", "victor-validate", "--all-files", cwd=repository)
    assert done.returncode == 1
    assert "models has no type 'ecko'" in done.stdout


def test_a_spec_is_formatted_and_the_commit_stops_once(repository: Path) -> None:
    (repository / "victor.yml").write_text(OFFLINE.replace("name: demo", "name:    demo"))
    first = run("pre-commit", "run", "victor-fmt", "--all-files", cwd=repository)
    assert first.returncode == 1
    assert "files were modified by this hook" in first.stdout
    assert (repository / "victor.yml").read_text() == OFFLINE
    assert run("pre-commit", "run", "victor-fmt", "--all-files", cwd=repository).returncode == 0
