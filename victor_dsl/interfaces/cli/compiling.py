"""Compiles the spec of a command, and shows its diagnostics to people, scripts or GitHub."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import orjson

from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.compiler.lint.retirement import RETIREMENT_CODES
from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, EXIT_SPEC
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.options import read_environment
from victor_dsl.interfaces.cli.output import count_of, is_colourful, say
from victor_dsl.source import excerpt
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.reader import Files
from victor_dsl.source.redaction import RedactedLines


class Surroundings(NamedTuple):
    """What a spec is compiled in: `--env-file`, `--state` and `--untrusted`."""

    env_files: Sequence[str]
    state: str | None
    untrusted: bool = False

    def compile(
        self, spec: str, files: Files | None = None, *, require_environment: bool, require_secrets: bool
    ) -> Compilation:
        """The spec compiled to run, though a provider may have retired its model; see `compile_spec`."""
        return compile_spec(
            spec,
            environment=read_environment(self.env_files, os.environ),
            files=files,
            state=Path(self.state) if self.state else None,
            require_environment=require_environment,
            require_secrets=require_secrets,
            untrusted=self.untrusted,
            today=datetime.now(UTC).date(),
            allow_retired=True,
        )


def compile_or_exit(spec: str, surroundings: Surroundings, *, require_secrets: bool) -> Program:
    """The spec's program. A spec with faults ends the command: they are printed, and decide the exit code."""
    compilation = surroundings.compile(spec, require_environment=True, require_secrets=require_secrets)
    if compilation.program is not None:
        for found in compilation.diagnostics:
            if found.code in RETIREMENT_CODES:
                say(f"warning: {found.span.file}:{found.span.line}: {found.message}; {found.hint}")
        if compilation.diagnostics:
            say(f"{_summary([spec], compilation.diagnostics)}; see 'victor validate {spec}'")
        return compilation.program
    say(_excerpts(compilation.diagnostics, compilation.files, colour=is_colourful(sys.stderr)))
    say(_summary([spec], compilation.diagnostics))
    raise click.exceptions.Exit(exit_code(compilation.diagnostics))


def exit_code(diagnostics: Sequence[Diagnostic], *, strict: bool = False) -> int:
    """1 where the spec is at fault, 3 where only its surroundings are, else 0; `strict` treats warnings as errors."""
    errors = [d for d in diagnostics if d.severity == "error"]
    if any(not d.external for d in errors) or (strict and len(errors) < len(diagnostics)):
        return EXIT_SPEC
    return EXIT_OUTSIDE if errors else EXIT_OK


def _excerpts(diagnostics: Sequence[Diagnostic], files: Files, *, colour: bool) -> str:
    """Every diagnostic with its lines of the spec, a caret under the token and the hint."""
    shown = RedactedLines(files, diagnostics)
    return "\n".join(excerpt.render(diagnostic, shown, colour=colour) for diagnostic in diagnostics)


def _summary(specs: Sequence[str], diagnostics: Sequence[Diagnostic]) -> str:
    """One line with the verdict: `5 errors in victor.yml`, naming the files that the errors are in."""
    where = specs[0] if len(specs) == 1 else f"{len(specs)} specs"
    errors = sum(d.severity == "error" for d in diagnostics)
    warnings = len(diagnostics) - errors
    if errors:
        also = f" and {count_of(warnings, 'warning')}" if warnings else ""
        return f"{count_of(errors, 'error')}{also} in {_faulty(diagnostics) if len(specs) == 1 else where}"
    verdict = f"{where} {'is' if len(specs) == 1 else 'are'} valid"
    return f"{verdict}, with {count_of(warnings, 'warning')}" if warnings else verdict


def _faulty(diagnostics: Sequence[Diagnostic]) -> str:
    files = list(dict.fromkeys(d.span.file for d in diagnostics))
    return " and ".join(files) if len(files) < 3 else f"{len(files)} files"


def _text(specs: Sequence[str], diagnostics: Sequence[Diagnostic], files: Files, colour: bool) -> str:
    shown = _excerpts(diagnostics, files, colour=colour)
    verdict = _summary(specs, diagnostics)
    if colour:
        verdict = click.style(verdict, fg="red" if any(d.severity == "error" for d in diagnostics) else "green")
    return f"{shown}\n{verdict}" if shown else verdict


def _json(_: Sequence[str], diagnostics: Sequence[Diagnostic], files: Files, colour: bool) -> str:  # noqa: ARG001
    valid = not any(d.severity == "error" for d in diagnostics)
    document = {"valid": valid, "diagnostics": [d.as_json() for d in diagnostics]}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _github(_: Sequence[str], diagnostics: Sequence[Diagnostic], files: Files, colour: bool) -> str:  # noqa: ARG001
    """A workflow command a line, as "Workflow commands for GitHub Actions" describes them."""
    return "\n".join(map(_workflow_command, diagnostics))


def _workflow_command(d: Diagnostic) -> str:
    fields = {
        "file": d.span.file,
        "line": d.span.line,
        "col": d.span.column,
        "endLine": d.span.end_line,
        "endColumn": d.span.end_column,
        "title": d.code,
    }
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in fields.items())
    message = f"{d.message}\n{d.hint}" if d.hint else d.message
    return f"::{d.severity} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


Format = Callable[[Sequence[str], Sequence[Diagnostic], Files, bool], str]
"""What stdout shows, made from specs, their diagnostics, the files that were read, and whether there is colour."""

FORMATS: Mapping[str, Format] = {"text": _text, "json": _json, "github": _github}
