"""The Python code of the pages passes mypy and pyright, both strict."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.blocks import blocks

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = [DOCS / "python.md", DOCS / "how-to" / "web-app.md"]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with the Python blocks of the pages, each a module."""
    for page in PAGES:
        for block in blocks(page):
            if block.language == "python":
                name = f"{page.stem}_{block.line}".replace("-", "_")
                (tmp_path / f"{name}.py").write_text(block.text, encoding="utf-8")
    assert len(list(tmp_path.iterdir())) >= 8
    return tmp_path


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_the_code_of_the_pages_is_typed(checker: str, code: Path) -> None:
    for module in (checker, "fastapi"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed: `./dev test` does it")
    # The environment is named: pyright would ask an interpreter for it, and go on without where that takes long.
    environment = Path(sys.prefix)
    config = {"venvPath": str(environment.parent), "venv": environment.name, "extraPaths": [str(DOCS.parent)]}
    (code / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", **config}))
    options = ["--strict", "--no-incremental", "."] if checker == "mypy" else []
    done = subprocess.run(
        [sys.executable, "-m", checker, *options], cwd=code, capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
