"""Results of tests as text for people, and as JUnit's XML for CI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from victor_dsl.workbench.spec_tests.results import Failure, Result

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def result_line(result: Result) -> str:
    """A result on one line: `passed   acme reads of HIPAA`."""
    reason = f" ({result.reason})" if result.reason else ""
    return f"{result.status:7}  {result.name}{reason}"


def failure_text(result: Result) -> str:
    """Why a test did not pass: each expectation at its file and line, with what was expected and what was there."""
    return "\n".join(line for failure in result.failures for line in _failure_lines(result, failure))


def _failure_lines(result: Result, failure: Failure) -> list[str]:
    where = ".".join(map(str, failure.path[_below(failure) :]))
    lines = [f"{result.file}:{failure.line}: {result.name}: {where}"]
    for label, text in (("expected", failure.expected), ("got", failure.got)):
        first, *rest = text.split("\n")
        lines += [f"    {label + ':':9} {first}", *(f"      {line}" for line in rest)]
    return lines


def _below(failure: Failure) -> int:
    """Where the path begins inside of the test."""
    return next((at for at, step in enumerate(failure.path) if step in ("expect", "given")), 0)


def summary(results: Sequence[Result], seconds: float) -> str:
    """`12 tests: 10 passed, 1 failed, 1 skipped, in 0.4 s`."""
    counts = {
        status: sum(result.status == status for result in results)
        for status in ("passed", "failed", "error", "skipped")
    }
    words = {"error": "with an error"}
    parts = [f"{count:,} {words.get(status, status)}" for status, count in counts.items() if count]
    number = f"{len(results):,} test{'' if len(results) == 1 else 's'}"
    return f"{number}: {', '.join(parts) or 'none was run'}, in {seconds:.1f} s"


def junit(suites: Sequence[tuple[str, Sequence[Result]]]) -> str:
    """The results of each spec as one XML document, as CI servers read it."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<testsuites>"]
    for name, results in suites:
        counts = [result.status for result in results]
        lines.append(
            f'  <testsuite name={_attribute(name)} tests="{len(results)}" failures="{counts.count("failed")}" '
            f'errors="{counts.count("error")}" skipped="{counts.count("skipped")}" time="{sum(r.seconds for r in results):.3f}">'
        )
        for result in results:
            lines += _case(name, result)
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"])


def _case(suite: str, result: Result) -> list[str]:
    about = f'name={_attribute(result.name)} classname={_attribute(suite)} file={_attribute(result.file)} line="{result.line}"'
    opened = f'    <testcase {about} time="{result.seconds:.3f}"'
    if result.status == "passed":
        return [f"{opened}/>"]
    if result.status == "skipped":
        return [f"{opened}>", f"      <skipped message={_attribute(result.reason)}/>", "    </testcase>"]
    tag = "failure" if result.status == "failed" else "error"
    first = result.failures[0]
    message = f"expected {first.expected}, got {first.got}".splitlines()[0]
    text = escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", failure_text(result)))
    return [f"{opened}>", f"      <{tag} message={_attribute(message)}>{text}</{tag}>", "    </testcase>"]


def _attribute(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text))
