"""Each command that a message, a hint, a field's description or a page of the docs names can be run as it stands there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.interfaces.conftest import ROOT, Victor
from victor_dsl.interfaces.cli.app import victor as group

QUOTED = re.compile(r"`(victor [a-z][^`\n]*)`|'(victor [a-z][^'\n]*)'")
PLACEHOLDERS = {
    "SPEC": "victor.yml",
    "KIND/TYPE": "models/echo",
    "NUMBER": "1",
    "[SPEC]": "victor.yml",
    "[SPEC...]": "victor.yml",
    "$(date -d '+90 days' +%F)": "2027-01-31",
}
"""Words that stand for what a reader fills in; any other word in capitals is a text."""


def texts(path: Path) -> Iterator[str]:
    """The texts of a Python file that users may read, an f-string with `x` where a value stands; or of another file, all of it."""
    if path.suffix != ".py":
        yield path.read_text(encoding="utf-8")
        return
    tree = ast.parse(path.read_bytes())
    own = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef)
    notes = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, own)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else "x" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in notes:
            yield node.value


def named() -> Iterator[str]:
    package = ROOT / "victor_dsl"
    for path in sorted(
        (*package.rglob("*.py"), *package.rglob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md")
    ):
        for text in texts(path):
            yield from (a or b for a, b in QUOTED.findall(text))


COMMANDS = sorted({line for line in named() if line.split()[1] != "plan"})


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_a_text_names_is_one(line: str, victor: Victor) -> None:
    del victor  # for its folder with a victor.yml
    words = [
        PLACEHOLDERS.get(word, "x" if word.isupper() else word) for word in shlex.split(line.partition(" > ")[0])[1:]
    ]
    command: click.Command = group
    context = click.Context(group, info_name="victor")
    while isinstance(command, click.Group) and words:
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        if words or not isinstance(found, click.Group):
            context = click.Context(found, parent=context, info_name=found.name)
        command = found
    if isinstance(command, click.Group) or not words:
        return  # the command itself is named, and not how it is called
    last = next((p for p in command.params if words[-1] in p.opts), None)
    if isinstance(last, click.Option) and not last.is_flag:  # the option is named, and not how it is called
        words.append("1")
    command.parse_args(context, words)


def test_the_search_finds_commands() -> None:
    assert "victor init" in COMMANDS
    assert any(line.startswith("victor db migrate ") for line in COMMANDS)


@pytest.mark.parametrize("line", ["components middleware/auth", "components show middleware/auth"])
def test_a_component_is_shown_by_its_name(line: str, victor: Victor) -> None:
    done = victor(*line.split())
    assert done.code == 0, done.err
    assert done.out.startswith("middleware/auth\n")


def test_a_misspelt_component_is_met_with_the_nearest(victor: Victor) -> None:
    done = victor("components", "middleware/atuh")
    assert done.code == 2
    assert "did you mean 'auth'" in done.err


def test_a_type_without_its_kind_is_met_with_its_name(victor: Victor) -> None:
    assert "did you mean 'middleware/auth'?" in victor("components", "auth").err
