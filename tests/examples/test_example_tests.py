"""The examples' own tests pass, fail for a change that breaks what they check, and pass for one that breaks nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.running import FOLDER, copy_of, prepare
from tests.warm import Warm

WITH_TESTS = sorted(
    path.parent.relative_to(FOLDER).as_posix()
    for path in FOLDER.glob("*/victor.yml")
    if "\ntests:" in path.read_text(encoding="utf-8")
)

REGRESSIONS = {
    "a tenant's piece is lost": ("victor.yml", "french: {type: text", "french: {type: text, max_tokens: 1, overflow: drop", "acme is answered in French"),
    "the prompt begins with another piece": ("victor.yml", "role.md.j2, priority: 90", "role.md.j2, priority: 10", "acme is answered in French"),
    "a dear tool is offered": ("victor.yml", "max_cost: medium", "max_cost: high", "an order is looked up"),
    "an address reaches the model": ("victor.yml", "patterns: [email, card, api_key]", "patterns: [card, api_key]", "an address is kept from the model"),
    "nothing stands in": ("base.yml", "fallbacks: [spare], ", "", "another model stands in for one that is overloaded"),
}  # fmt: skip
HARMLESS = {
    "a comment": ("victor.yml", "middleware: ", "# a comment\nmiddleware: "),
    "keys in another order": ("victor.yml", "{type: inline, priority: 10,", "{priority: 10, type: inline,"),
    "weights of arms": ("victor.yml", "control: {weight: 1}", "control: {weight: 9}"),
    "another exporter": ("victor.yml", "  - {type: jsonl, path: .victor/events.jsonl}\n", ""),
    "a longer time limit": ("victor.yml", "seconds: 60", "seconds: 90"),
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Path:
    folder = copy_of("everything", tmp_path_factory.mktemp("examples"))
    prepare(folder, warm.python)
    return folder


@pytest.fixture
def whole(everything: Path) -> Iterator[Path]:
    """The example, as it was after a test has changed it."""
    before = {path: path.read_text("utf-8") for path in (everything / "victor.yml", everything / "base.yml")}
    yield everything
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def _failed(folder: Path, python: Path) -> list[str]:
    command = [str(python), "-m", "victor_dsl", "test", "victor.yml", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    tests = json.loads(done.stdout)["tests"]
    failed = [test["name"] for test in tests if test["status"] != "passed"]
    assert done.returncode == (1 if failed else 0), done.stderr
    assert tests
    return failed


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("name", WITH_TESTS)
def test_the_tests_of_an_example_pass(name: str, tmp_path: Path, warm: Warm) -> None:
    folder = copy_of(name, tmp_path)
    prepare(folder, warm.python)
    assert _failed(folder, warm.python) == []


@pytest.mark.parametrize("change", REGRESSIONS)
def test_a_planted_regression_fails_its_test(change: str, whole: Path, warm: Warm) -> None:
    file, old, new, test = REGRESSIONS[change]
    _change(whole / file, old, new)
    assert _failed(whole, warm.python) == [test]


@pytest.mark.parametrize("change", HARMLESS)
def test_a_harmless_change_fails_no_test(change: str, whole: Path, warm: Warm) -> None:
    file, old, new = HARMLESS[change]
    _change(whole / file, old, new)
    assert _failed(whole, warm.python) == []
