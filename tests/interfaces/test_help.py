"""Help opens with an example, and a misspelt word is met with the nearest one."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

import victor_dsl
from tests.interfaces.conftest import Victor
from victor_dsl.interfaces.cli.app import COMMANDS, Command
from victor_dsl.interfaces.cli.app import victor as group


def commands() -> Iterator[tuple[str, ...]]:
    yield ()
    for name in COMMANDS:
        yield (name,)
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.commands)


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_help_opens_with_an_example_of_its_command(path: tuple[str, ...], victor: Victor) -> None:
    done = victor(*path, "--help")
    assert done.code == 0
    first = done.out.splitlines()[0]
    assert first.startswith(" ".join(["Example: victor", *path]))


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_example_names_options_that_there_are(path: tuple[str, ...]) -> None:
    command: click.Command = group
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    assert isinstance(command, Command)
    words = shlex.split(command.example)[1:]
    known = {opt for parameter in command.params for opt in parameter.opts}
    if command is not group:
        assert {word for word in words if word.startswith("--")} <= known


def test_the_table_of_commands_says_what_the_commands_say() -> None:
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert command.name == name


def test_help_lists_every_command(victor: Victor) -> None:
    out = victor("--help").out
    for name, (_, short) in COMMANDS.items():
        assert f"  {name}" in out
        assert short in out


def test_help_and_version_import_no_command() -> None:
    program = (
        "import sys; from victor_dsl.interfaces.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.startswith(('victor_dsl.', 'pydantic', 'attr', 'ruamel'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    loaded = done.stdout.splitlines()[-1]
    assert "pydantic" not in loaded
    assert "attr" not in loaded
    assert "cli.validate" not in loaded
    assert "cli.app" not in loaded


@pytest.mark.parametrize("width", [40, 80, 200])
def test_help_reads_the_same_on_every_terminal(width: int, victor: Victor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert victor("--help") == victor("-h")
    assert max(map(len, victor("--help").out.splitlines())) <= 80


def test_help_also_comes_before_a_command_that_is_misspelt(victor: Victor) -> None:
    assert victor("--help", "validat").out.startswith("Example: victor validate victor.yml\n")


def test_the_version_is_the_packages(victor: Victor) -> None:
    done = victor("--version")
    assert (done.code, done.out) == (0, f"victor {victor_dsl.__version__}\n")


@pytest.mark.parametrize(
    ("name", "meant"), [("check", "victor validate"), ("chat", "victor run"), ("help", "victor --help")]
)
def test_a_command_of_another_tool_is_met_with_what_does_its_work(victor: Victor, name: str, meant: str) -> None:
    done = victor(name)
    assert (done.code, done.out) == (2, "")
    assert f"there is no command '{name}'; '{meant}' does that" in done.err


def test_a_misspelt_command_is_met_with_the_nearest(victor: Victor) -> None:
    done = victor("validat", "victor.yml")
    assert done.code == 2
    assert "there is no command 'validat'; did you mean 'validate'?" in done.err
    assert done.out == ""


def test_a_misspelt_option_is_met_with_the_nearest(victor: Victor) -> None:
    done = victor("validate", "victor.yml", "--formt", "json")
    assert done.code == 2
    assert "--format" in done.err
    assert "see 'victor validate --help'" in done.err


def test_python_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "victor_dsl", "--help"], capture_output=True, check=True, text=True)
    assert done.stdout.startswith("Example: victor validate victor.yml\n")
