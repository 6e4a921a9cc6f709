"""No mistake of a user's shows a traceback, and each exit code is the one of the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.interfaces.conftest import Victor, in_a_process
from victor_dsl.interfaces.cli import EXIT_BROKEN_PIPE

MISTAKES: list[tuple[int, list[str]]] = [
    (2, ["frobnicate"]),
    (2, ["run", "Hello", "there"]),
    (2, ["run", "victor.yml", "hi", "--input", "in.jsonl"]),
    (2, ["run", "victor.yml", "hi", "--output", "out.jsonl"]),
    (2, ["run", "victor.yml", "--resume"]),
    (2, ["run", "victor.yml", "--input", "in.jsonl", "--resume"]),
    (2, ["run", "victor.yml", "--input", "in.jsonl", "--resume", "--output", "-"]),
    (2, ["run", "victor.yml", "--input", "in.jsonl", "--output", "o.jsonl", "--resume", "--overwrite"]),
    (2, ["run", "victor.yml", "--input", "missing.jsonl"]),
    (2, ["run", "victor.yml", "--input", "."]),
    (2, ["run", "victor.yml", "--input", "in.jsonl", "--output", "in.jsonl", "--overwrite"]),
    (3, ["run", "victor.yml", "--input", "in.jsonl", "--output", "missing/out.jsonl"]),
    (3, ["run", "victor.yml", "--input", "in.jsonl", "--output", "/dev/full"]),
    (2, ["run", "victor.yml", "--input", "in.jsonl", "--concurrency", "0"]),
    (2, ["run", "victor.yml", "--input", "in.jsonl", "--concurrency", "many"]),
    (2, ["run", "victor.yml", "hi", "--var", "novalue"]),
    (2, ["run", "victor.yml", "hi", "--var", "a=1", "--var", "a=2"]),
    (2, ["run", "victor.yml", "hi", "--arm", "tone=warm"]),
    (2, ["run", "victor.yml", "hi", "--env-file", "missing.env"]),
    (1, ["run", "missing.yml", "hi"]),
    (1, ["run", "bad.yml", "hi"]),
    (1, ["graph", "bad.yml"]),
    (2, ["graph", "victor.yml", "--format", "png"]),
    (2, ["render", "victor.yml"]),
    (2, ["render", "victor.yml", "--message", "hi", "--input", "in.jsonl"]),
    (2, ["render", "victor.yml", "--message", "hi", "--output", "out.jsonl"]),
    (2, ["render", "-", "--message", "-"]),
    (1, ["render", ".", "--message", "hi"]),
    (1, ["validate", "bin.yml"]),
    (2, ["explain", "nothing-like-it"]),
    (2, ["components", "show", "models"]),
    (2, ["components", "list", "--kind", "model"]),
    (2, ["init", "in.jsonl"]),
]


@pytest.mark.parametrize(
    ("code", "arguments"), MISTAKES, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
def test_a_mistake_is_told_in_plain_words(victor: Victor, folder: Path, code: int, arguments: list[str]) -> None:
    if "/dev/full" in arguments and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (folder / "bad.yml").write_text("victor: 1\nname: demo\nmodles: {}\n")
    (folder / "bin.yml").write_bytes(bytes(range(256)))
    (folder / "in.jsonl").write_text('{"message": "hi"}\n')
    done = victor(*arguments)
    assert done.code == code
    said = done.err + (done.out if arguments[0] == "validate" else "")
    assert "error:" in said
    assert "Traceback" not in said
    assert "internal" not in said
    assert (folder / "in.jsonl").read_text() == '{"message": "hi"}\n'


def test_a_fault_of_victor_itself_asks_to_be_reported(victor: Victor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("victor_dsl.interfaces.cli.validate.compile_spec", broken)
    done = victor("validate", "victor.yml")
    assert done.code == 3
    assert done.err.startswith("error: internal error: ZeroDivisionError: a bug\n")
    assert "please report it" in done.err
    assert "Traceback" not in done.err
    monkeypatch.setenv("VICTOR_DEBUG", "1")
    assert "Traceback" in victor("validate", "victor.yml").err


def test_a_reader_who_stops_reading_ends_the_command_in_silence(folder: Path) -> None:
    process = in_a_process("schema", cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == EXIT_BROKEN_PIPE


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/full")
def test_a_full_disk_under_stdout_is_an_error(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = in_a_process("schema", cwd=folder, stdout=full, stderr=subprocess.PIPE)
        error = process.communicate()[1].decode()
    assert process.returncode == 3
    assert "No space left on device" in error
    assert "Traceback" not in error
