"""`victor test`: runs the tests that a spec has."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Literal

import click
from attrs import define, field, frozen

from victor_dsl.compiler import Compilation
from victor_dsl.compiler.spec_tests import SpecTest
from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, EXIT_SPEC, UsageError
from victor_dsl.interfaces.cli import options, running
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.compiling import Surroundings, exit_code
from victor_dsl.interfaces.cli.diagnostics import Found, as_text
from victor_dsl.interfaces.cli.output import count_of, harmless, is_colourful, print_json, say
from victor_dsl.interfaces.spec_suites import recordings_path
from victor_dsl.source.reader import STDIN, Stamp, stamp
from victor_dsl.workbench.spec_tests import (
    FOLDER,
    Asking,
    Failure,
    Recordings,
    Result,
    Status,
    Suite,
    failure_text,
    junit,
    result_line,
    selecting,
    summary,
    summary_json,
)

Format = Literal["text", "json", "junit"]
LOOK_SECONDS = 0.5
"""How often `--watch` looks for a change."""
WORD = 7
"""How long the first word of a result's line is."""
_COLOURS: dict[Status, str] = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow"}


@click.command("test", cls=Command, example="victor test victor.yml")
@options.specs
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    show_default=True,
    help="Text for people, one JSON document, or JUnit's XML.",
)
@click.option("-k", "expression", metavar="EXPR", help="Only tests whose name matches, such as 'acme and not french'.")
@click.option(
    "--record",
    is_flag=True,
    help="Ask models for answers that are not recorded, or whose request has changed, and record them.",
)
@click.option("--live", is_flag=True, help="Ask models for every answer; with --record, record them all anew.")
@click.option(
    "--recordings",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help=f"The folder of recordings.  [default: {FOLDER} beside the spec]",
)
@click.option("--watch", is_flag=True, help="Run the tests again when a file of the spec changes, until Ctrl-C.")
@click.option(
    "-n",
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 1_000),
    default=8,
    show_default=True,
    help="How many tests run at the same time.",
)
@options.untrusted
@options.locked
@options.environment
def test(
    specs: tuple[str, ...],
    format_: Format,
    *,
    expression: str | None,
    record: bool,
    live: bool,
    folder: str | None,
    watch: bool,
    concurrency: int,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Run the tests of a spec: what it renders, and what its models reply.

    Tests of the rendered turn call no model. Answers are played from recordings, which --record makes; models that need
    no network answer themselves. Nothing is exported, stored or counted, and no caller is checked.

    Exits 1 when a test fails or has an error, also when its answer is not recorded or its request is no longer the recorded
    one; 3 when only something outside failed.
    """
    if untrusted and (record or live):
        raise click.UsageError("--untrusted allows neither --record nor --live")
    asking = Asking(missing=record, always=live)
    run = _Run(Surroundings(env_files, state, untrusted), format_, expression, asking, folder, concurrency)
    code = run.all(dict.fromkeys(specs))
    while watch:
        _wait_for_change(run.seen)
        say("")
        code = run.all(dict.fromkeys(specs))
    raise click.exceptions.Exit(code)


@frozen
class _Tested:
    """A spec with its results."""

    spec: str
    results: tuple[Result, ...]


@define
class _Run:
    """One run of the command. `seen` are the files that it read, as they were."""

    surroundings: Surroundings
    format: Format
    expression: str | None
    asking: Asking
    folder: str | None
    concurrency: int
    seen: dict[str, Stamp | None] = field(factory=dict)
    _selected: int = 0

    def all(self, specs: Iterable[str]) -> int:
        """Runs the tests of all specs, and prints the results; the exit code."""
        started = time.monotonic()
        self._selected = 0
        self.seen.clear()
        tested = [self._spec(spec) for spec in specs]
        results = [result for one in tested for result in one.results]
        if self.expression is not None and not results:
            raise UsageError(f"no test matches -k '{self.expression}'")
        seconds = time.monotonic() - started
        if self.format == "json":
            print_json(summary_json(results))
        elif self.format == "junit":
            click.echo(junit([(one.spec, one.results) for one in tested]))
        else:
            click.echo(f"\n{summary(results, seconds)}" if results else summary(results, seconds))
        if any(result.status in ("failed", "error") and not result.outside for result in results):
            return EXIT_SPEC
        return EXIT_OUTSIDE if any(result.outside for result in results) else EXIT_OK

    def _spec(self, spec: str) -> _Tested:
        compilation = self.surroundings.compile(
            spec, require_environment=True, require_secrets=self.asking.asks, tests=True
        )
        self._see(compilation)
        faulty = _faults(spec, compilation)
        if compilation.program is None:
            found = Found.of([spec], compilation.diagnostics, compilation.files, self.surroundings.reading)
            say(as_text(found, is_colourful(sys.stderr)))
            return _Tested(spec, faulty)
        if not compilation.tests:
            line = Failure(("tests",), 1, "a test", "the spec has no tests")
            return _Tested(spec, self._shown(spec, [Result("the spec has tests", spec, 1, "error", (line,))]))
        chosen = selecting(self.expression) if self.expression is not None else (lambda _: True)
        tests = [test for test in compilation.tests if chosen(test.test.name)]
        if not tests:
            return _Tested(spec, ())
        names = [one.test.name for one in compilation.tests]
        file = "" if spec == STDIN else spec
        recordings = Recordings.read(recordings_path(spec, compilation, self.folder), file, names)
        self.seen[str(recordings.path)] = stamp(str(recordings.path))
        suite = Suite(compilation.program, recordings, self.asking, self.concurrency, self._command(spec))
        if self.format == "text":
            click.echo(click.style(spec, bold=True), color=is_colourful(sys.stdout))
        try:
            results = running.run(suite.run(tests, self._show))
        except BaseException:  # answers cost money: those that came before Ctrl-C stay
            if self.asking.writes:
                recordings.write(names, unneeded=())
            raise
        if self.format == "text":
            _show_failures(results)
        self._keep(recordings, compilation.tests, tests)
        return _Tested(spec, tuple(results))

    def _command(self, spec: str) -> str:
        folder = ["--recordings", self.folder] if self.folder is not None else []
        return shlex.join(["victor", "test", spec, "--record", *folder])

    def _keep(self, recordings: Recordings, tests: Sequence[SpecTest], run: Sequence[SpecTest]) -> None:
        """Writes new recordings, and removes or reports those that no test needs."""
        names = [one.test.name for one in tests]
        gone = {name for name, _ in recordings.records} - set(names)
        unused = recordings.unused({*gone, *(one.test.name for one in run)})
        if self.asking.writes:
            if recordings.write(names, unneeded=unused):
                say(f"{recordings.path}: {count_of(len(recordings.new), 'recording')} written, {len(unused):,} removed")
                self.seen[str(recordings.path)] = stamp(str(recordings.path))
        elif unused:
            needs = "needs" if len(unused) == 1 else "need"
            say(
                f"{recordings.path}: no test {needs} {count_of(len(unused), 'recording')}, such as that of '{unused[0][0]}'; --record removes them"
            )

    def _show(self, result: Result) -> None:
        if self.format == "text":
            line = harmless(result_line(result))
            word = click.style(line[:WORD], fg=_COLOURS[result.status])
            click.echo(f"  {word}{line[WORD:]}", color=is_colourful(sys.stdout))

    def _shown(self, spec: str, results: Sequence[Result]) -> tuple[Result, ...]:
        if self.format == "text":
            click.echo(click.style(spec, bold=True), color=is_colourful(sys.stdout))
            for result in results:
                self._show(result)
            _show_failures(results)
        return tuple(results)

    def _see(self, compilation: Compilation) -> None:
        texts = compilation.program.texts if compilation.program is not None else {}
        for name in (*compilation.sources, *texts, *compilation.test_folders):
            self.seen[name] = stamp(name)


def _faults(spec: str, compilation: Compilation) -> tuple[Result, ...]:
    """The faults of a spec that does not compile, as the result of a test that it does."""
    errors = compilation.errors
    failures = tuple(
        Failure(
            fault.path,
            fault.span.line,
            "a valid spec",
            f"{fault.span.file}:{fault.span.line}: {fault.message} [{fault.code}]",
        )
        for fault in errors
    )
    line = errors[0].span.line if errors else 1
    outside = exit_code(errors) == EXIT_OUTSIDE
    return (Result("the spec is valid", spec, line, "error", failures, outside=outside),)


def _show_failures(results: Sequence[Result]) -> None:
    for result in results:
        if result.failures:
            click.echo(f"\n{harmless(failure_text(result))}")


def _wait_for_change(seen: dict[str, Stamp | None]) -> None:
    while all(stamp(name) == before for name, before in seen.items()):
        time.sleep(LOOK_SECONDS)
