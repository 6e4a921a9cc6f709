"""Diagnostics: faults of a spec, each with its code, its place and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import evolve, frozen

from victor_dsl.source.located import Located, Path, Span, pointer

Severity = Literal["error", "warning"]


@frozen
class Related:
    """Another place that has to do with a fault, and why."""

    message: str
    span: Span


@frozen
class Diagnostic:
    """One fault. `code` is a word (`unknown-component`) that `victor explain` knows; `path` is where in the document.

    `external` marks a fault of the surroundings (a missing variable), which exits 3 at run time, not 1.
    """

    code: str
    message: str
    span: Span
    path: Path = ()
    hint: str | None = None
    severity: Severity = "error"
    related: tuple[Related, ...] = ()
    external: bool = False

    def as_json(self) -> dict[str, Any]:
        """The diagnostic as `victor validate --format json` prints it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            **_place(self.span),
            "path": pointer(self.path),
            "hint": self.hint,
            "related": [{"message": r.message, **_place(r.span)} for r in self.related],
        }


def _place(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }


_VALUELESS = frozenset({"alias-loop", "bad-number", "bad-tag", "empty-value", "unknown-alias"})
"""Faults that leave a key without its value; that the value is then not what it should be need not be said."""


def sort_diagnostics(found: Iterable[Diagnostic], documents: Iterable[Located]) -> list[Diagnostic]:
    """Without repeats, by file and line, errors and warnings alike. Files come in the order of `documents`.

    A part of an overlay is checked where it was laid; its path is mended to where it was written.
    """
    found = list(found)
    if not found:
        return []
    paths: dict[Span, dict[Path, None]] = {}
    files: dict[str, int] = {}
    for document in documents:
        files.setdefault(document.span.file, len(files))
        for path, located in document.walk():
            paths.setdefault(located.span, {})[path] = None
            if located.key_span is not None:
                paths.setdefault(located.key_span, {})[path] = None
    once = {(d.code, d.span, d.message): _mended(d, paths.get(d.span)) for d in reversed(found)}
    valueless = {(d.span.file, d.path) for d in once.values() if d.code in _VALUELESS}
    hints: dict[Span, list[str]] = {}
    for d in once.values():
        if d.code != "shell-variable" and d.hint:
            hints.setdefault(d.span, []).append(d.hint)
    order = {d.span.file: files.get(d.span.file, len(files)) for d in found}
    return sorted(
        (
            d
            for d in once.values()
            if (d.code in _VALUELESS or (d.span.file, d.path) not in valueless)
            and not (d.code == "shell-variable" and any("${env:" in hint for hint in hints.get(d.span, ())))
        ),
        key=lambda d: (order[d.span.file], d.span.file, d.span.line, d.span.column, d.code),
    )


def _mended(diagnostic: Diagnostic, written: Mapping[Path, None] | None) -> Diagnostic:
    return diagnostic if not written or diagnostic.path in written else evolve(diagnostic, path=next(iter(written)))
