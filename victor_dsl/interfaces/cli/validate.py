"""`victor validate`: every fault of one or more specs at once."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from victor_dsl.compiler import compile_spec
from victor_dsl.errors import EXIT_OUTSIDE
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.bounded import bounded
from victor_dsl.interfaces.cli.compiling import exit_code
from victor_dsl.interfaces.cli.diagnostics import FORMATS, Found
from victor_dsl.interfaces.cli.options import read_environment
from victor_dsl.interfaces.cli.output import error_line, is_colourful, say
from victor_dsl.interfaces.locking import check_servers, locked
from victor_dsl.language.registry import Registry
from victor_dsl.lazy import Lazy
from victor_dsl.source.reader import Files

if TYPE_CHECKING:
    from victor_dsl.interfaces.cli import running
else:
    running = Lazy("victor_dsl.interfaces.cli.running")


@click.command("validate", cls=Command, example="victor validate victor.yml")
@options.specs
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="For people, for scripts, as GitHub annotations, or for tools that read SARIF.",
)
@click.option(
    "--max-diagnostics",
    "most",
    metavar="N",
    type=click.IntRange(min=0),
    help="Show at most so many, errors first, and the number of the others.  [default: 1000 as JSON, else 100]",
)
@click.option("--strict", is_flag=True, help="Treat warnings as errors (exit 1).")
@click.option(
    "--env",
    is_flag=True,
    help="Require the variables and secrets that the spec names, and that they can be used (else exit 3).",
)
@click.option(
    "--connect", is_flag=True, help="Open every component, and ask each provider once (else exit 3). Includes --env."
)
@options.today
@options.locked
@options.untrusted
@options.environment
def validate(
    specs: tuple[str, ...],
    format_: str,
    *,
    most: int | None,
    strict: bool,
    env: bool,
    connect: bool,
    today: date,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Find every fault of a spec, each with its line and what to do. Needs neither secrets nor network.

    Exits 0 when all specs are valid, 1 when one has a fault.
    """
    specs = tuple(dict.fromkeys(specs))
    environment = read_environment(env_files, os.environ)
    reading = options.reading()
    registry, files = Registry(), Files(max_bytes=reading.max_size)
    with bounded() if untrusted else nullcontext():
        compilations = [
            compile_spec(
                spec,
                environment=environment,
                registry=registry,
                files=files,
                state=Path(state) if state else None,
                require_environment=env or connect or reading.locked,
                require_secrets=env or connect,
                untrusted=untrusted,
                today=today,
            )
            for spec in specs
        ]
    diagnostics = list(dict.fromkeys(d for compilation in compilations for d in compilation.diagnostics))
    for spec, compilation in zip(specs, compilations, strict=True):
        if compilation.stages:
            say(f"{spec}: checked with {'; '.join(compilation.stages)}")
    colour = is_colourful(sys.stdout)
    show, usual = FORMATS[format_]
    found = Found.of(specs, diagnostics, files, reading)
    if shown := show(found, colour, usual if most is None else most):
        click.echo(shown, color=colour)
    code = exit_code(diagnostics, strict=strict)
    if reading.locked and not code:
        for compilation in compilations:
            assert compilation.program is not None, "a spec without errors compiles"
            program = locked(compilation.program)
            if connect:
                running.run(check_servers(program, registry))
    if (env or connect) and not code:
        for compilation in compilations:
            assert compilation.program is not None, "a spec without errors compiles"
            for failure in running.run(_tried(compilation.program, registry, connect=connect)):
                say(error_line(failure))
                code = EXIT_OUTSIDE
    raise click.exceptions.Exit(code)


async def _tried(program: Program, registry: Registry, *, connect: bool) -> list[str]:
    """The failures of the providers that the environment feeds, or with `connect` of every component and provider."""
    failures = await running.connect(program, registry) if connect else []
    return failures or await running.ask_providers(program, registry, environment_only=not connect)
