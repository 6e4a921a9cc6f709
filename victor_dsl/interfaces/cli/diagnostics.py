"""Diagnostics as text, JSON, SARIF or workflow commands of GitHub, up to a number of each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click
import orjson
from attrs import evolve, frozen

import victor_dsl
from victor_dsl.interfaces.cli.options import Reading
from victor_dsl.interfaces.cli.output import count_of
from victor_dsl.lazy import Lazy
from victor_dsl.source import excerpt
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Span, pointer
from victor_dsl.source.reader import STDIN, Files, is_inside, root_of
from victor_dsl.source.redaction import RedactedLines

if TYPE_CHECKING:
    from victor_dsl.language import codes
else:
    codes = Lazy("victor_dsl.language.codes")

MOST_CHARACTERS = 1000
"""Of a message, a hint, a path or the name of a file: all may be as long as the spec."""

MOST_RELATED = 10
"""Of the places that have to do with one fault."""

OUTSIDE = "this is in a file outside the spec's folder"
_WITHOUT_CONTENT = frozenset({"unreadable-file", "too-large", "too-deep", "not-utf8", "empty-file"})
OUTSIDE_HINT = "`--show-outside` shows what it is"


@frozen
class Found:
    """What was found in specs. Of files `outside` their folders, `diagnostics` say only the code and the place."""

    specs: Sequence[str]
    diagnostics: Sequence[Diagnostic]
    files: Files
    outside: frozenset[str]

    @classmethod
    def of(cls, specs: Sequence[str], diagnostics: Sequence[Diagnostic], files: Files, reading: Reading) -> Found:
        """What may be shown of the diagnostics of specs."""
        roots = [root_of(spec) for spec in specs]
        names = {span.file for d in diagnostics for span in (d.span, *(one.span for one in d.related))} - {STDIN}
        outside = frozenset(name for name in names if not any(is_inside(name, root) for root in roots))
        if reading.show_outside or not outside:
            return cls(specs, diagnostics, files, frozenset())
        return cls(specs, [_without(d, outside) for d in diagnostics], files, outside)

    @property
    def valid(self) -> bool:
        """Whether none is an error."""
        return not any(d.severity == "error" for d in self.diagnostics)

    def first(self, most: int) -> tuple[list[Diagnostic], int]:
        """At most so many of the diagnostics, errors before warnings, in their order; and the number of the others."""
        if len(self.diagnostics) <= most:
            return list(map(_bounded, self.diagnostics)), 0
        by_weight = sorted(range(len(self.diagnostics)), key=lambda i: (self.diagnostics[i].severity != "error", i))
        chosen = sorted(by_weight[:most])
        return [_bounded(self.diagnostics[i]) for i in chosen], len(self.diagnostics) - len(chosen)


def _without(d: Diagnostic, outside: AbstractSet[str]) -> Diagnostic:
    related = tuple(evolve(one, message=OUTSIDE) if one.span.file in outside else one for one in d.related)
    if d.span.file in outside and d.code not in _WITHOUT_CONTENT:
        return evolve(d, message=OUTSIDE, hint=OUTSIDE_HINT, path=(), related=related)
    return evolve(d, related=related)


def _bounded(d: Diagnostic) -> Diagnostic:
    span, related = _bounded_file(d.span), d.related[:MOST_RELATED]
    path = d.path if len(pointer(d.path)) <= MOST_CHARACTERS else tuple(map(_cut_step, d.path))
    return evolve(
        d,
        message=_cut(d.message),
        hint=None if d.hint is None else _cut(d.hint),
        span=span,
        path=path,
        related=tuple(evolve(one, message=_cut(one.message), span=_bounded_file(one.span)) for one in related),
    )


def _bounded_file(span: Span) -> Span:
    return span if len(span.file) <= MOST_CHARACTERS else span._replace(file=_cut(span.file))


def _cut(text: str, most: int = MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _cut_step(step: str | int) -> str | int:
    return _cut(step, MOST_CHARACTERS // 10) if isinstance(step, str) else step


class _InsideLines:
    """The lines of files that may be shown, without secrets."""

    def __init__(self, found: Found) -> None:
        self._lines = RedactedLines(found.files, found.diagnostics)
        self._outside = found.outside

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a file; none of one outside."""
        return () if name in self._outside else self._lines.lines(name)


def summary(found: Found) -> str:
    """One line with the verdict: `5 errors in victor.yml`, naming the files that the errors are in."""
    specs, diagnostics = found.specs, found.diagnostics
    where = specs[0] if len(specs) == 1 else f"{len(specs)} specs"
    errors = sum(d.severity == "error" for d in diagnostics)
    warnings = len(diagnostics) - errors
    if errors:
        also = f" and {count_of(warnings, 'warning')}" if warnings else ""
        return f"{count_of(errors, 'error')}{also} in {_faulty(diagnostics) if len(specs) == 1 else where}"
    verdict = f"{where} {'is' if len(specs) == 1 else 'are'} valid"
    return f"{verdict}, with {count_of(warnings, 'warning')}" if warnings else verdict


def _faulty(diagnostics: Sequence[Diagnostic]) -> str:
    files = list(dict.fromkeys(_cut(d.span.file) for d in diagnostics))
    return " and ".join(files) if len(files) < 3 else f"{len(files)} files"


def as_text(found: Found, colour: bool, most: int = 100) -> str:
    """Every diagnostic with its lines of the spec, a caret under the token and the hint; then the verdict."""
    diagnostics, omitted = found.first(most)
    lines = _InsideLines(found)
    width = shutil.get_terminal_size().columns if colour else None
    shown = [excerpt.render(diagnostic, lines, colour=colour, width=width) for diagnostic in diagnostics]
    if omitted:
        shown.append(f"… and {omitted:,} more")
    verdict = summary(found)
    if colour:
        verdict = click.style(verdict, fg="green" if found.valid else "red")
    return "\n".join([*shown, verdict])


def _json(found: Found, _: bool, most: int) -> str:
    diagnostics, omitted = found.first(most)
    document = {"valid": found.valid, "diagnostics": [d.as_json() for d in diagnostics], "omitted": omitted}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _github(found: Found, _: bool, most: int) -> str:
    """A workflow command a line, as "Workflow commands for GitHub Actions" describes them."""
    diagnostics, omitted = found.first(most)
    lines = list(map(_workflow_command, diagnostics))
    if omitted:
        lines.append(f"::notice title=omitted::… and {omitted:,} more")
    return "\n".join(lines)


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
    return f"::{d.severity} {properties}::{_data(_with_hint(d))}"


def _with_hint(d: Diagnostic) -> str:
    return f"{d.message}\n{d.hint}" if d.hint else d.message


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(found: Found, _: bool, most: int) -> str:
    """One log with one run, as OASIS' "Static Analysis Results Interchange Format" 2.1.0 describes it."""
    diagnostics, omitted = found.first(most)
    rules = sorted({d.code for d in diagnostics})
    more = [{"level": "note", "message": {"text": f"… and {omitted:,} more"}}] if omitted else []
    run = {
        "tool": {
            "driver": {
                "name": "victor",
                "semanticVersion": victor_dsl.__version__,
                "rules": [{"id": code, "shortDescription": {"text": codes.explain(code).summary}} for code in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": more}],
        "results": [_result(d, rules.index(d.code)) for d in diagnostics],
    }
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _result(d: Diagnostic, rule: int) -> dict[str, Any]:
    place = _location(d.span)
    if d.path:
        place["logicalLocations"] = [{"fullyQualifiedName": pointer(d.path)}]
    return {
        "ruleId": d.code,
        "ruleIndex": rule,
        "level": d.severity,
        "message": {"text": _with_hint(d)},
        "locations": [place],
        "relatedLocations": [
            {"id": number, "message": {"text": one.message}, **_location(one.span)}
            for number, one in enumerate(d.related, 1)
        ],
    }


def _location(span: Span) -> dict[str, Any]:
    path = PurePath(span.file)
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())},
            "region": {
                "startLine": span.line,
                "startColumn": span.column,
                "endLine": span.end_line,
                "endColumn": span.end_column,
            },
        }
    }


Format = Callable[[Found, bool, int], str]
"""What stdout shows, made from what was found, whether there is colour, and the most diagnostics to show."""

FORMATS: Mapping[str, tuple[Format, int]] = {
    "text": (as_text, 100),
    "json": (_json, 1000),
    "github": (_github, 100),
    "sarif": (_sarif, 100),
}
"""Each format with the number of diagnostics that it shows."""
