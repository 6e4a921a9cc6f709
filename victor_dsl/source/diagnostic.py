"""Diagnostics: faults of a spec, each with its code, its place and what to do."""

from __future__ import annotations

from typing import Any, Literal

from attrs import frozen

from victor_dsl.source.located import Path, Span, pointer

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
