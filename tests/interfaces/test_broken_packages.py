"""Installed packages whose components cannot be imported, or lack a part: real distributions on the path of a new process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENTRIES = "[victor_dsl.contributors]\ngone = broken_package.gone\npartial = broken_package.partial\n"
SPEC = "victor: 1\nname: s\nmodels: {main: echo}\ncontributors:\n  - {type: gone}\n  - {type: partial}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a spec, and an installed package `broken-package` in `site`."""
    information = tmp_path / "site" / "broken_package-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-package\nVersion: 1.0\n", "utf-8")
    (information / "entry_points.txt").write_text(ENTRIES, "utf-8")
    package = tmp_path / "site" / "broken_package"
    package.mkdir()
    (package / "__init__.py").write_text("", "utf-8")
    (package / "partial.py").write_text(
        "from victor_dsl.language.config import ContributorConfig as Config\nbuild = None\n", "utf-8"
    )
    (tmp_path / "victor.yml").write_text(SPEC, "utf-8")
    return tmp_path


def victor(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder / "site"), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "victor_dsl", *arguments]
    return subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_component_that_cannot_be_imported_is_a_fault_at_its_line(folder: Path) -> None:
    done = victor(folder, "validate", "victor.yml", "--format", "json")
    faults = [(d["line"], d["code"], d["message"], d["hint"]) for d in json.loads(done.stdout)["diagnostics"]]
    assert done.returncode == 1
    assert faults == [
        (
            *(5, "unknown-component"),
            "contributors 'gone' cannot be imported: ModuleNotFoundError: No module named 'broken_package.gone'",
            "the package broken-package registers it: broken_package.gone",
        ),
        (
            *(6, "unknown-component"),
            "contributors 'partial' has no `EXAMPLE`",
            "the package broken-package registers it: broken_package.partial",
        ),
    ]


@pytest.mark.parametrize("command", ["schema", "components"])
def test_other_components_can_be_listed_beside_a_broken_one(folder: Path, command: str) -> None:
    done = victor(folder, command)
    assert done.returncode == 0
    assert "echo" in done.stdout
    assert "'gone' cannot be imported" in done.stderr
    assert "'partial' has no `EXAMPLE`" in done.stderr
