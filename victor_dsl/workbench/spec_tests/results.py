"""What became of a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from attrs import frozen

from victor_dsl.source.located import Path, pointer

Status = Literal["passed", "failed", "error", "skipped"]


@frozen
class Failure:
    """One expectation that does not hold: its path in its file, its line, what it expects, and what the turn had."""

    path: Path
    line: int
    expected: str
    got: str

    def as_json(self) -> dict[str, Any]:
        """The failure as `victor test --format json` prints it."""
        return {"path": pointer(self.path), "line": self.line, "expected": self.expected, "got": self.got}


@frozen
class Result:
    """The result of one test. An `error` is a test that could not be run as it is written: its turn failed, or an answer is missing.

    `outside` says that something outside the spec failed, such as a model that was asked; `reason` is why a test was skipped.
    """

    name: str
    file: str
    line: int
    status: Status
    failures: tuple[Failure, ...] = ()
    seconds: float = 0.0
    outside: bool = False
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The result as `victor test --format json` prints it."""
        return {
            "name": self.name,
            "file": self.file,
            "line": self.line,
            "status": self.status,
            "failures": [failure.as_json() for failure in self.failures],
        }


def summary_json(results: Sequence[Result]) -> dict[str, Any]:
    """All results as `victor test --format json` prints them. `failed` counts tests with an error, too."""
    counts = [result.status for result in results]
    return {
        "passed": counts.count("passed"),
        "failed": counts.count("failed") + counts.count("error"),
        "skipped": counts.count("skipped"),
        "tests": [result.as_json() for result in results],
    }
