"""`victor validate`: every fault of one or more specs at once."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from victor_dsl.compiler import compile_spec
from victor_dsl.errors import EXIT_OUTSIDE
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.compiling import exit_code
from victor_dsl.interfaces.cli.diagnostics import FORMATS
from victor_dsl.interfaces.cli.env_file import read_environment
from victor_dsl.interfaces.cli.output import colourful, error_line, say
from victor_dsl.interfaces.cli.shape import Command
from victor_dsl.language.registry import Registry
from victor_dsl.source.reader import Files


@click.command("validate", cls=Command, example="victor validate victor.yml")
@click.argument("specs", metavar="SPEC...", nargs=-1, required=True)
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="For people, for scripts, or as GitHub annotations.",
)
@click.option("--strict", is_flag=True, help="Warnings are faults too (exit 1).")
@click.option("--env", is_flag=True, help="The variables and secrets that the spec names must be there (else exit 3).")
@click.option("--connect", is_flag=True, help="Open every component and close it (else exit 3). Includes --env.")
@options.untrusted
@options.environment
def command(
    specs: tuple[str, ...],
    format_: str,
    *,
    strict: bool,
    env: bool,
    connect: bool,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Find every fault of a spec, each with its line and what to do. Needs neither secrets nor network.

    Exits 0 when all specs are valid, 1 when one has a fault.
    """
    specs = tuple(dict.fromkeys(specs))
    environment = read_environment(env_files, os.environ)
    registry, files = Registry(), Files()
    compilations = [
        compile_spec(
            spec,
            environment=environment,
            registry=registry,
            files=files,
            state=Path(state) if state else None,
            need_environment=env or connect,
            need_secrets=env or connect,
            untrusted=untrusted,
        )
        for spec in specs
    ]
    diagnostics = list(dict.fromkeys(d for compilation in compilations for d in compilation.diagnostics))
    shown = FORMATS[format_](specs, diagnostics, files, colourful(sys.stdout))
    if shown:
        click.echo(shown, color=colourful(sys.stdout))
    code = exit_code(diagnostics, strict=strict)
    if connect and not code:
        connecting = importlib.import_module("victor_dsl.interfaces.cli.connecting")  # asyncio: 50 ms for the few
        for compilation in compilations:
            for failure in connecting.connect(compilation.program, registry):
                say(error_line(failure))
                code = EXIT_OUTSIDE
    raise click.exceptions.Exit(code)
