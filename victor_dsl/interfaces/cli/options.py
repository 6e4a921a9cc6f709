"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def environment(function: F) -> F:
    """`--env-file` and `--state`: what every command that compiles a spec takes."""
    function = click.option(
        "--state",
        metavar="DIR",
        type=click.Path(file_okay=False),
        help="The folder of local state.  [default: .victor beside the spec]",
    )(function)
    return click.option(
        "--env-file",
        "env_files",
        metavar="FILE",
        multiple=True,
        help="A file of KEY=VALUE lines for ${env:…}; what the environment has wins, then the later file.",
    )(function)


def untrusted(function: F) -> F:
    """`--untrusted`: what every command takes that runs what a spec names."""
    return click.option(
        "--untrusted",
        is_flag=True,
        help="Refuse a spec that names a function to import or a program to start (exit 1).",
    )(function)


def caller(function: F) -> F:
    """`--session`, `--tenant`, `--user`, `--arm` and `--var`: who asks, and how."""
    for option in (
        click.option(
            "--var", "variables", metavar="NAME=TEXT", multiple=True, help="A var for templates; may be repeated."
        ),
        click.option("--arm", "arms", metavar="EXPERIMENT=ARM", multiple=True, help="A forced arm; may be repeated."),
        click.option("--user", metavar="U", help="The user."),
        click.option("--tenant", metavar="T", help="The tenant."),
        click.option("--session", metavar="S", help="The session.  [default: a new one]"),
    ):
        function = option(function)
    return function


def api_key(function: F) -> F:
    """`--api-key`: the caller's key, for `auth`."""
    return click.option(
        "--api-key",
        metavar="KEY",
        envvar="VICTOR_API_KEY",
        help="The caller's key, for auth; better in the environment, as VICTOR_API_KEY: others can see command lines.",
    )(function)


def log(function: F) -> F:
    """`--quiet` and `--verbose`: how much of the log is shown."""
    function = click.option("-v", "--verbose", is_flag=True, help="Show every line of the log.")(function)
    return click.option("-q", "--quiet", is_flag=True, help="Show only warnings of the log.")(function)


def spec(function: F) -> F:
    """The argument SPEC."""
    return click.argument("spec", metavar="SPEC")(function)


def check_stdin(spec: str, *inputs: str | None) -> None:
    """Raises UsageError where both the spec and an input are `-`."""
    if spec == "-" and "-" in inputs:
        raise click.UsageError("the spec and the input cannot both be stdin")
