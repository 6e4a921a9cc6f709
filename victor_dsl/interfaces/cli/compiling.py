"""Compiles the spec that a command is about, or says every fault and ends the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, EXIT_SPEC
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.diagnostics import excerpts, summary
from victor_dsl.interfaces.cli.env_file import read_environment
from victor_dsl.interfaces.cli.output import colourful, say
from victor_dsl.source.diagnostic import Diagnostic


class Surroundings(NamedTuple):
    """What a spec is compiled in: `--env-file`, `--state` and `--untrusted`."""

    env_files: Sequence[str]
    state: str | None
    untrusted: bool = False

    def compile(self, spec: str, *, need_environment: bool, need_secrets: bool) -> Compilation:
        """The spec compiled; see `compile_spec`."""
        return compile_spec(
            spec,
            environment=read_environment(self.env_files, os.environ),
            state=Path(self.state) if self.state else None,
            need_environment=need_environment,
            need_secrets=need_secrets,
            untrusted=self.untrusted,
        )


def compile_or_exit(spec: str, surroundings: Surroundings, *, need_secrets: bool) -> Program:
    """The spec's program. Where it has faults they are said, and the command ends with the exit code they mean."""
    compilation = surroundings.compile(spec, need_environment=True, need_secrets=need_secrets)
    if compilation.program is not None:
        if compilation.diagnostics:
            say(f"{summary([spec], compilation.diagnostics)}; see 'victor validate {spec}'")
        return compilation.program
    say(excerpts(compilation.diagnostics, compilation.files, colour=colourful(sys.stderr)))
    say(summary([spec], compilation.diagnostics))
    raise click.exceptions.Exit(exit_code(compilation.diagnostics))


def exit_code(diagnostics: Sequence[Diagnostic], *, strict: bool = False) -> int:
    """1 where the spec is at fault, 3 where only its surroundings are, else 0; strict takes warnings for faults."""
    errors = [d for d in diagnostics if d.severity == "error"]
    if any(not d.external for d in errors) or (strict and len(errors) < len(diagnostics)):
        return EXIT_SPEC
    return EXIT_OUTSIDE if errors else EXIT_OK
