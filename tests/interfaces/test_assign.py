"""`victor assign`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = """\
victor: 1
name: s
models: {main: {type: echo}}
variants:
  tone: {arms: {control: {weight: 2}, warm: {weight: 1, with: {settings: {temperature: 0.9}}}}}
  length: {unit: user, coverage: 0.5, arms: {short: {}, long: {with: {settings: {max_tokens: 9}}}}}
  old: {status: stopped, arms: {a: {}, b: {}}}
unknown_tenants: base
tenants:
  acme: {with: {variants: {tone: null}}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "victor.yml"
    path.write_text(SPEC)
    return path


def victor(*arguments: str, input: str = "", seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "victor_dsl", *arguments],
        input=input,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONHASHSEED": seed, "PATH": ""},
    )


def test_500_sessions_have_the_same_arm_in_two_fresh_processes(spec: Path) -> None:
    units = [f"session-{i}" for i in range(500)]
    one, other = (victor("assign", str(spec), *units, seed=seed).stdout for seed in ("1", "2"))
    lines = [json.loads(line) for line in one.splitlines()]
    assert [line["unit"] for line in lines] == units
    assert sum(a != b for a, b in zip(one.splitlines(), other.splitlines(), strict=True)) == 0
    assert {line["variants"]["tone"] for line in lines} == {"control", "warm"}
    assert 150 < sum("length" in line["variants"] for line in lines) < 350
    assert all("old" not in line["variants"] for line in lines)


def test_the_arm_is_the_one_that_a_turn_has(spec: Path) -> None:
    assigned = json.loads(victor("assign", str(spec), "s1").stdout)["variants"]["tone"]
    rendered = json.loads(victor("render", str(spec), "--message", "a", "--session", "s1").stdout)
    assert rendered["variants"]["tone"] == assigned


def test_units_come_from_lines_too_and_a_tenant_may_stay_out(spec: Path) -> None:
    done = victor("assign", str(spec), "--input", "-", "--tenant", "acme", input="a\n\nb c\n")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["unit"] for line in lines] == ["a", "b c"]
    assert all("tone" not in line["variants"] for line in lines)


def test_no_units_and_a_missing_file_are_said(spec: Path) -> None:
    assert (victor("assign", str(spec)).returncode, victor("assign", str(spec), "a", "--input", "-").returncode) == (
        2,
        2,
    )
    done = victor("assign", str(spec), "--input", "none.txt")
    assert (done.returncode, done.stderr) == (2, "error: cannot read 'none.txt': No such file or directory\n")
