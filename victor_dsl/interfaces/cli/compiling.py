"""Compiles the spec of a command; the diagnostics of one that cannot run end the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click
from attrs import evolve, field, frozen

from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.compiler.lint.retirement import RETIREMENT_CODES
from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, EXIT_SPEC
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.bounded import bounded
from victor_dsl.interfaces.cli.diagnostics import Found, as_text, summary
from victor_dsl.interfaces.cli.options import Reading, read_environment, reading
from victor_dsl.interfaces.cli.output import is_colourful, say
from victor_dsl.interfaces.locking import locked
from victor_dsl.language.registry import Registry
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.reader import Files


@frozen
class Surroundings:
    """What a spec is compiled in: `--env-file`, `--state`, `--untrusted`, how its files are read, and the components.

    A spec that never `runs` may be untrusted and name functions: none of the components in `registry` calls them.
    """

    env_files: Sequence[str]
    state: str | None
    untrusted: bool = False
    reading: Reading = field(factory=reading)
    registry: Registry | None = None
    runs: bool = True

    def compile(
        self,
        spec: str,
        files: Files | None = None,
        *,
        require_environment: bool,
        require_secrets: bool,
        tests: bool = False,
    ) -> Compilation:
        """The spec compiled to run, though a provider may have retired its model; see `compile_spec`.

        With `--locked` its program has the lock. Raises LockError where it is not what the lock says.
        """
        with bounded() if self.untrusted else nullcontext():
            compilation = compile_spec(
                spec,
                environment=read_environment(self.env_files, os.environ),
                files=files or Files(max_bytes=self.reading.max_size),
                state=Path(self.state) if self.state else None,
                require_environment=require_environment,
                require_secrets=require_secrets,
                untrusted=self.untrusted,
                registry=self.registry,
                runs=self.runs,
                today=datetime.now(UTC).date(),
                allow_retired=True,
                tests=tests,
            )
        if self.reading.locked and compilation.program is not None:
            return evolve(compilation, program=locked(compilation.program))
        return compilation


def compile_or_exit(spec: str, surroundings: Surroundings, *, require_secrets: bool) -> Program:
    """The spec's program. A spec with faults ends the command: they are printed, and decide the exit code."""
    compilation = surroundings.compile(spec, require_environment=True, require_secrets=require_secrets)
    found = Found.of([spec], compilation.diagnostics, compilation.files, surroundings.reading)
    if compilation.program is not None:
        for retired in found.diagnostics:
            if retired.code in RETIREMENT_CODES:
                say(f"warning: {retired.span.file}:{retired.span.line}: {retired.message}; {retired.hint}")
        if found.diagnostics:
            say(f"{summary(found)}; see 'victor validate {spec}'")
        return compilation.program
    say(as_text(found, is_colourful(sys.stderr)))
    raise click.exceptions.Exit(exit_code(compilation.diagnostics))


def exit_code(diagnostics: Sequence[Diagnostic], *, strict: bool = False) -> int:
    """1 where the spec is at fault, 3 where only its surroundings are, else 0; `strict` treats warnings as errors."""
    errors = [d for d in diagnostics if d.severity == "error"]
    if any(not d.external for d in errors) or (strict and len(errors) < len(diagnostics)):
        return EXIT_SPEC
    return EXIT_OUTSIDE if errors else EXIT_OK
