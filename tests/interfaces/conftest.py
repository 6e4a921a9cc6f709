"""The command line as tests call it: in this process, in a folder of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from victor_dsl.interfaces.cli import main

ROOT = Path(__file__).parent.parent.parent
PYTHON = sys.executable
"""The plain one, also where a test has put the warm one in its place."""

OFFLINE = """\
victor: 1
name: demo
models:
  main: {type: echo}
"""


@frozen
class Done:
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Victor = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's folder, which is also the current one, with a spec that runs offline."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "victor.yml").write_text(OFFLINE)
    return tmp_path


@pytest.fixture
def victor(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Victor:
    """Calls the command with its arguments and, where given, its standard input."""
    del folder

    def call(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capfd.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, out, err)

    return call


def in_a_process(*arguments: str, cwd: Path, **options: Any) -> subprocess.Popen[bytes]:
    """The command as a process of its own, for what needs signals."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([PYTHON, "-m", "victor_dsl", *arguments], cwd=cwd, env=environment, **options)
