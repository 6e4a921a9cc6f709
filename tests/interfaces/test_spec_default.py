"""SPEC may be left out where `victor.yml` is there, and `victor` alone says how to begin."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest

from tests.interfaces.conftest import OFFLINE, Done, Victor
from tests.interfaces.test_help import commands
from victor_dsl.interfaces.cli import GREETING
from victor_dsl.interfaces.cli.app import COMMANDS
from victor_dsl.interfaces.cli.app import victor as group
from victor_dsl.interfaces.cli.options import SpecArgument, is_spec

NOTE = "using victor.yml\n"


def test_validate_alone_checks_victor_yml(victor: Victor) -> None:
    assert victor("validate") == Done(0, "victor.yml is valid\n", NOTE)


def test_a_first_argument_that_is_no_spec_is_the_message(victor: Victor) -> None:
    done = victor("run", "Hello", "-q")
    assert (done.code, done.out, done.err) == (0, "Hello\n", NOTE)


def test_a_message_of_which_the_first_word_is_a_spec_is_not_taken_for_one(victor: Victor) -> None:
    assert victor("run", "-q", "Why a.yml, not b.json?").out == "Why a.yml, not b.json?\n"


def test_a_spec_that_is_named_is_used_without_a_word(victor: Victor) -> None:
    assert victor("validate", "victor.yml").err == ""
    assert victor("run", "victor.yml", "Hello", "-q") == Done(0, "Hello\n", "")


def test_a_file_without_ending_is_a_spec(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").rename(folder / "assistant")
    assert victor("run", "assistant", "Hello", "-q") == Done(0, "Hello\n", "")


def test_a_folder_is_not_a_spec_but_a_message(victor: Victor, folder: Path) -> None:
    (folder / "help").mkdir()
    assert victor("run", "help", "-q").out == "help\n"


def test_a_missing_file_with_the_ending_of_a_spec_is_still_the_spec(victor: Victor) -> None:
    done = victor("run", "vicotr.yml", "Hello")
    assert done.code == 1
    assert "vicotr.yml" in done.err
    assert NOTE not in done.err


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a.yml", True),
        ("a.yaml", True),
        ("folder/a.json", True),
        ("-", True),
        ("main:specs/a.yml", True),
        ("HEAD~2:spec", True),
        ("Hello", False),
        ("Where is it: here?", False),
        ("https://example.com/a", False),
        ("12", False),
        ("settings.temperature", False),
    ],
)
def test_what_a_first_argument_is(word: str, expected: bool) -> None:
    assert is_spec(word) is expected


def test_numbers_after_a_spec_that_is_left_out_are_still_numbers(victor: Victor) -> None:
    done = victor("dead-letters", "show", "3")
    assert done.err.startswith(NOTE)
    assert "'3'" not in done.err
    assert "NUMBER" in victor("dead-letters", "show").err


def test_units_follow_a_spec_that_is_left_out(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels: {main: {type: echo}}\n"
        "variants: {tone: {arms: {warm: {weight: 1, with: {settings: {temperature: 1}}}, cold: {weight: 1}}}}\n"
    )
    named = victor("assign", "victor.yml", "u1", "u2")
    assert named.code == 0, named.err
    assert victor("assign", "u1", "u2") == Done(0, named.out, NOTE)


def test_too_many_words_are_refused_by_name(victor: Victor) -> None:
    done = victor("run", "Hello", "there")
    assert done.code == 2
    assert "(there)" in done.err


@pytest.mark.parametrize("words", [("validate",), ("run", "Hello"), ("run",), ("graph",)])
def test_without_a_spec_the_error_names_init(words: tuple[str, ...], victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").unlink()
    done = victor(*words)
    assert (done.code, done.out) == (2, "")
    assert "there is no victor.yml here: name a SPEC, or write one with 'victor init'" in done.err


def test_a_spec_of_a_commit_is_refused_with_a_command_that_reads_it(victor: Victor) -> None:
    done = victor("validate", "main:victor.yml")
    assert done.code == 2
    assert "git show main:victor.yml | victor validate -" in done.err


@pytest.mark.parametrize("path", [path for path in commands() if path], ids=" ".join)
def test_help_shows_that_spec_may_be_left_out(path: tuple[str, ...], victor: Victor) -> None:
    command: click.Command = group
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    takes = any(isinstance(parameter, SpecArgument) for parameter in command.params)
    usage = next(line for line in victor(*path, "--help").out.splitlines() if line.startswith("Usage:"))
    assert takes == ("[SPEC" in usage)
    assert takes or " SPEC" not in usage


def test_victor_alone_greets_and_names_commands_that_there_are(victor: Victor) -> None:
    done = victor()
    assert (done.code, done.err) == (0, "")
    assert done.out == GREETING
    lines = [shlex.split(line, comments=True) for line in done.out.splitlines() if line.startswith("  victor ")]
    assert [words[1] for words in lines] == ["init", "validate", "run"]
    assert {words[1] for words in lines} <= COMMANDS.keys()
    assert "victor --help" in done.out


def test_a_message_in_place_of_the_spec_is_met_with_its_option(victor: Victor, folder: Path) -> None:
    done = victor("render", "Where is my order?")
    assert (done.code, done.out) == (2, "")
    assert "'Where is my order?' is not a spec; write a message as: --message 'Where is my order?'" in done.err


def test_a_folder_in_place_of_the_spec_is_met_with_the_spec_in_it(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = folder / "shop"
    shop.mkdir()
    (shop / "victor.yml").write_text(OFFLINE)
    (folder / "victor.yml").unlink(missing_ok=True)
    done = victor("run", "shop", "Hi")
    assert (done.code, done.out) == (2, "")
    assert "'shop' is a folder; name the spec in it: shop/victor.yml" in done.err


def test_fmt_without_a_file_names_what_is_missing(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").unlink(missing_ok=True)
    done = victor("fmt")
    assert (done.code, done.out) == (2, "")
    assert "there is no victor.yml here: name a FILE, or write one with 'victor init'" in done.err
