"""A file of request lines, answered or rendered: with a progress bar, and an output that survives a kill."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from attrs import define, evolve, field, frozen

from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, Limit, LimitReached, UsageError, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli import running
from victor_dsl.interfaces.cli.caller import Caller
from victor_dsl.interfaces.cli.output import count_of, harmless, say, warning_line
from victor_dsl.interfaces.cli.resuming import changed_spec, fingerprints
from victor_dsl.interfaces.requests_of_tests import holds_tests, request_lines_of
from victor_dsl.lazy import Lazy
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.codec import read_request
from victor_dsl.values.message import NO_MESSAGE, Reply
from victor_dsl.values.outcome import Rendered, Tokens
from victor_dsl.workbench.batch import (
    Job,
    Ledger,
    Limited,
    Limits,
    Line,
    LineDigests,
    Output,
    RunRecord,
    Tally,
    read_lines,
    read_record,
    record_path,
    run_lines,
    write_record,
)
from victor_dsl.workbench.batch.engine import until_stopped
from victor_dsl.workbench.batch.limits import Waiting
from victor_dsl.workbench.batch.output import Mode

if TYPE_CHECKING:
    from rich import console, markup, progress
else:
    console, markup, progress = Lazy("rich.console"), Lazy("rich.markup"), Lazy("rich.progress")

GRACE_S = 5.0
"""How long lines in progress may continue after an interrupt."""

SHOW_SECONDS = 0.1

NARROW = 70
"""The columns of the rest of the progress bar."""

SHOWN_LIMITS = 2
"""How many limits that lines wait for are shown in the progress bar."""

SHOWN_REACHED = 10
"""How many limits are reported when they refuse a line for the first time."""

SHOWN_ERRORS = 10
"""How many failed lines are reported one by one; the output has them all."""


@frozen
class Batch:
    """What a batch does: which lines it reads, and where their answers go."""

    program: Program
    caller: Caller
    input: str
    output: str
    mode: Mode = "new"
    concurrency: int = 8
    renders: bool = False
    retry_errors: bool = False
    """Asks the lines again that have an error in the output that is resumed."""
    force: bool = False
    """Resumes also where the spec or an answered line has changed."""
    waits: bool = True
    """Asks lines again that a limit of the spec refuses, when the limit allows it."""
    explain: Callable[[Rendered], Iterable[str]] | None = None
    """Gives the lines that are printed beside each rendered request."""

    def run(self) -> int:
        """Runs the batch. The exit code: 0, 3 where the output has an error, 128 and its number where a signal ended it."""
        with _opened(self.input) as stream:
            if _is_same(stream, self.output):
                raise UsageError("--input and --output are the same file")
            with Output(self.output, self.mode) as output:
                record = self._record()
                if self.mode == "resume" and not self.force:
                    self._check_spec(output, record)
                if self.retry_errors:
                    failed = [answer["id"] for answer in output.answered() if answer.get("error") is not None]
                    record = record.retrying(failed)
                    write_record(record_path(self.program.state, self.output), record, self.output)
                    output.drop_errors()
                with ExitStack() as stack:
                    if (digests := self._digests()) is not None:
                        stack.enter_context(digests)
                    answers = output.answered() if self.mode == "resume" else ()
                    ledger = stack.enter_context(Ledger(answers, () if digests is None or self.force else digests))
                    run = _Run(self, output, record, digests, errors_before=ledger.errors)
                    running.run(run.all(stream, ledger), on_signal=run.stop)
        return run.ended()

    def _record(self) -> RunRecord:
        """The record of the run that is resumed, else a new one, stored where a later resume finds it."""
        if self.renders or self.output == "-":
            return RunRecord.new()
        path = record_path(self.program.state, self.output)
        if self.mode == "resume" and (record := read_record(path)):
            return record
        record = RunRecord.new(fingerprints(self.program))
        write_record(path, record, self.output)
        return record

    def _check_spec(self, output: Output, record: RunRecord) -> None:
        """Raises UsageError where the spec has changed. Whoever retries errors may have mended it, and is only told."""
        if (change := changed_spec(self.program, output.answered(), record)) is None:
            return
        if not self.retry_errors:
            hint = "--force continues with the changed spec; --overwrite answers all lines anew"
            raise UsageError(change, hint=hint)
        say(warning_line(change))

    def _digests(self) -> LineDigests | None:
        """The digests of the lines that the output answers; None where it cannot be resumed."""
        if self.renders or self.output == "-":
            return None
        path = record_path(self.program.state, self.output).with_suffix(".lines")
        return LineDigests(path, resumed=self.mode == "resume")


@define
class _Run:
    batch: Batch
    output: Output
    record: RunRecord
    digests: LineDigests | None = None
    errors_before: int = 0
    tally: Tally = field(factory=Tally)
    began: float = field(factory=time.monotonic)
    stopping: asyncio.Event = field(factory=asyncio.Event)
    signals: list[int] = field(factory=list)
    reached: int = 0
    work: asyncio.Future[Tally] | None = None

    async def all(self, stream: BinaryIO, ledger: Ledger) -> None:
        """Answers every line of the stream; after a signal, only those in progress."""
        orchestrator = Orchestrator(self.batch.program, answering=not self.batch.renders)
        async with running.shown_opening(orchestrator):
            limits = Limits(partial(until_stopped, self.stopping), reached=self._report_limit)
            alone = self.batch.output == "-" and _may_reach_terminal(sys.stdout)  # the lines have it, without a bar
            async with nullcontext() if alone else _progress(stream, self._progress_of(limits)):
                work = run_lines(
                    read_lines(stream),
                    ledger,
                    self._job(orchestrator),
                    concurrency=self.batch.concurrency,
                    ahead=1 if self.batch.renders else None,  # renders come in the order of the input
                    stopping=self.stopping,
                    tally=self.tally,
                    limits=limits,
                )
                self.work = asyncio.ensure_future(work)
                try:
                    await self.work
                except asyncio.CancelledError:
                    if not self.signals:
                        raise

    def ended(self) -> int:
        """Prints how the run ended; the exit code."""
        tally, seconds = self.tally, time.monotonic() - self.began
        verb = "rendered" if self.batch.renders else "answered"
        failed = f", {count_of(self.errors_before, 'error')} among them" if self.errors_before else ""
        before = f" ({tally.skipped:,} before{failed})" if tally.skipped else ""
        errors = f", {count_of(tally.errors, 'error')}" if tally.errors else ""
        where = "" if self.batch.output == "-" else f" → {self.batch.output}"
        say(f"{count_of(tally.answered, 'line')} {verb}{before}{errors}, in {seconds:.1f} s{where}")
        if self.signals:
            say("interrupted" if self.batch.output == "-" else "interrupted; --resume continues from here")
            return 128 + self.signals[0]
        if self.errors_before or (tally.errors and self.digests is not None):
            say("--resume --retry-errors asks the lines with an error again")
        return EXIT_OUTSIDE if tally.errors or self.errors_before else EXIT_OK

    def stop(self, number: int) -> bool:
        """Takes a signal: the first lets the lines in progress finish for a while, the second cancels them. False before the first line."""
        if self.work is None:
            return False
        self.signals.append(number)
        if self.stopping.is_set():
            self.work.cancel()
        else:
            self.stopping.set()
            asyncio.get_running_loop().call_later(GRACE_S, self.work.cancel)
        return True

    def _job(self, orchestrator: Orchestrator) -> Job:
        async def answer(line: Line) -> Mapping[str, Any] | Limited:
            data, arms = dict(line.data), {}
            if holds_tests(self.batch.input):
                arms = data.pop("arms", {})
            request = self.batch.caller.complete(read_request(data))
            request = evolve(request, arms={**request.arms, **arms})
            request = evolve(request, id=line.id, turn_id=self.record.turn_id(line.id, line.attempts))
            if self.batch.renders:
                rendered = await orchestrator.render(request)
                if self.batch.explain is not None:
                    say("\n".join([f"line {line.number}:", *self.batch.explain(rendered)]))
                return rendered.to_dict(explain=self.batch.explain is not None)
            answer = await orchestrator.answer(request)
            if self.digests is not None and not line.attempts:
                self.digests.add(line)
            written, error = answer.to_dict(), answer.error
            if self.batch.waits and isinstance(error, LimitReached) and error.limit is not None:
                return Limited(written, error.limit, error.retry_after_s)
            return written

        def fail(line: Line, error: VictorError) -> Mapping[str, Any]:
            failed = _unrendered(line, error) if self.batch.renders else _unanswered(line, error)
            failed["error"]["line"] = line.number
            return failed

        def watch(line: Line, output: Mapping[str, Any]) -> None:
            if (error := output.get("error")) and self.tally.errors <= SHOWN_ERRORS:
                say(warning_line(f"{self.batch.input}:{line.number}: {error['message']}"))
                if self.tally.errors == SHOWN_ERRORS:
                    say("further errors are only in the output")

        def report_pause(seconds: float) -> None:
            say(f"a model refuses requests for their rate: continuing in {seconds:.0f} s, with fewer lines at a time")

        return Job(answer, fail, self.output.write, watch, self.batch.caller.session, report_pause)

    def _report_limit(self, limit: Limit) -> None:
        self.reached += 1
        if self.reached > SHOWN_REACHED:
            if self.reached == SHOWN_REACHED + 1:
                say("further limits that are reached are not reported")
            return
        whose = f"{limit.whose} has" if limit.whose else f"the {limit.per} has"
        say(f"{harmless(whose)} reached its limit {limit.name}: its lines wait for it (--no-wait refuses them)")

    def _progress_of(self, limits: Limits) -> Callable[[], tuple[int, str]]:
        def progress_now() -> tuple[int, str]:
            tally, seconds = self.tally, time.monotonic() - self.began
            rate = tally.answered / seconds if seconds > 0 else 0.0
            errors = f"  [red]{count_of(tally.errors, 'error')}[/red]" if tally.errors else ""
            waiting = ", ".join(_waits(found) for found in limits.waiting()[:SHOWN_LIMITS])
            pace = markup.escape(waiting) or f"{rate:,.1f}/s"
            return tally.done_bytes, f"{tally.answered + tally.skipped:,} lines{errors}  {pace}"

        return progress_now


def _waits(found: Waiting) -> str:
    whose = f"{found.limit.whose}'s limit" if found.limit.whose else "the limit"
    return f"waiting for {harmless(whose)}, {found.seconds:.0f} s"


def _unanswered(line: Line, error: VictorError) -> dict[str, Any]:
    """The reply line of a line that never became a request."""
    return Reply(
        id=line.id,
        session=line.session or str(line.id),
        message=NO_MESSAGE,
        stop_reason="error",
        error=error,
    ).to_dict()


def _unrendered(line: Line, error: VictorError) -> dict[str, Any]:
    """The rendered turn of a line that never became a request."""
    return Rendered(
        id=line.id,
        session=line.session or str(line.id),
        tenant=None,
        variants={},
        settings={},
        origins={},
        system="",
        contributors=(),
        messages=(),
        kept=(),
        tools=(),
        sent_tools=(),
        tokens=Tokens(),
        compaction=None,
        plan="",
        error=error,
    ).to_dict()


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        # Unbuffered: a thread that waits inside a buffered reader holds a lock that Python needs to exit.
        yield getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return
    with ExitStack() as stack:
        if holds_tests(path):
            yield stack.enter_context(request_lines_of(path))
            return
        try:
            stream = stack.enter_context(Path(path).open("rb", buffering=0))
        except OSError as error:
            raise UsageError(f"--input {path}: {error.strerror}") from error
        yield stream


def _is_same(stream: BinaryIO, output: str) -> bool:
    """Whether the output is the file that the stream reads."""
    try:
        one, other = os.fstat(stream.fileno()), Path(output).stat()
    except OSError:
        return False
    return stat.S_ISREG(one.st_mode) and os.path.samestat(one, other)


def _may_reach_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal, or a pipe: `jq` at its end writes to the terminal."""
    return stream.isatty() or stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)


@asynccontextmanager
async def _progress(stream: BinaryIO, now: Callable[[], tuple[int, str]]) -> AsyncIterator[None]:
    """Shows a progress bar, where stderr is a terminal: `now` returns how many bytes of the input are done, and a description."""
    if not sys.stderr.isatty():
        yield
        return
    status = os.fstat(stream.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    end = (progress.TextColumn("{task.percentage:>3.0f} %  ETA"), progress.TimeRemainingColumn(compact=True))
    bar = progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=max(10, min(40, shutil.get_terminal_size().columns - NARROW))),
        *(end if size else ()),
        progress.TimeElapsedColumn(),
        console=console.Console(file=sys.stderr),
        transient=True,
    )
    task = bar.add_task("starting", total=size)

    async def show() -> None:
        while True:
            done, description = now()
            bar.update(task, completed=done, description=description)
            await asyncio.sleep(SHOW_SECONDS)

    with bar:
        showing = asyncio.create_task(show(), name="progress bar")
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.wait([showing])
