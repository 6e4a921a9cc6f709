"""Diagnostics as people, scripts and GitHub read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import click
import orjson

from victor_dsl.interfaces.cli.output import counted
from victor_dsl.source import excerpt
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.reader import Files
from victor_dsl.source.veil import Veiled

Format = Callable[[Sequence[str], Sequence[Diagnostic], Files, bool], str]
"""Specs, their diagnostics, the files read and whether there is colour, to what stdout shows."""


def excerpts(diagnostics: Sequence[Diagnostic], files: Files, *, colour: bool) -> str:
    """Every diagnostic with its lines of the spec, a caret under the token and the hint."""
    veiled = Veiled(files, diagnostics)
    return "\n".join(excerpt.render(diagnostic, veiled, colour=colour) for diagnostic in diagnostics)


def summary(specs: Sequence[str], diagnostics: Sequence[Diagnostic]) -> str:
    """One line that says how it stands: `5 errors in victor.yml`, or in the file that it reads where they are there."""
    where = specs[0] if len(specs) == 1 else f"{len(specs)} specs"
    errors = sum(d.severity == "error" for d in diagnostics)
    warnings = len(diagnostics) - errors
    if errors:
        also = f" and {counted(warnings, 'warning')}" if warnings else ""
        return f"{counted(errors, 'error')}{also} in {_faulty(diagnostics) if len(specs) == 1 else where}"
    verdict = f"{where} {'is' if len(specs) == 1 else 'are'} valid"
    return f"{verdict}, with {counted(warnings, 'warning')}" if warnings else verdict


def _faulty(diagnostics: Sequence[Diagnostic]) -> str:
    files = list(dict.fromkeys(d.span.file for d in diagnostics))
    return " and ".join(files) if len(files) < 3 else f"{len(files)} files"


def _text(specs: Sequence[str], diagnostics: Sequence[Diagnostic], files: Files, colour: bool) -> str:
    shown = excerpts(diagnostics, files, colour=colour)
    verdict = summary(specs, diagnostics)
    if colour:
        verdict = click.style(verdict, fg="red" if any(d.severity == "error" for d in diagnostics) else "green")
    return f"{shown}\n{verdict}" if shown else verdict


def _json(_: Sequence[str], diagnostics: Sequence[Diagnostic], files: Files, colour: bool) -> str:  # noqa: ARG001
    valid = not any(d.severity == "error" for d in diagnostics)
    document = {"valid": valid, "diagnostics": [d.as_json() for d in diagnostics]}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _github(_: Sequence[str], diagnostics: Sequence[Diagnostic], files: Files, colour: bool) -> str:  # noqa: ARG001
    return "\n".join(map(_command, diagnostics))


def _command(d: Diagnostic) -> str:
    """A workflow command, as "Workflow commands for GitHub Actions" describes it."""
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


FORMATS: Mapping[str, Format] = {"text": _text, "json": _json, "github": _github}
