"""A file of request lines, answered or rendered: progress for people, and an output that survives a kill."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from attrs import define, evolve, field, frozen

from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE, UsageError, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.caller import Caller
from victor_dsl.interfaces.cli.kept_table import kept_table
from victor_dsl.interfaces.cli.output import counted, say, warning_line
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.codec import read_request
from victor_dsl.values.message import Usage
from victor_dsl.values.outcome import Answer, Rendered, Tokens
from victor_dsl.workbench.batch import (
    Job,
    Ledger,
    Line,
    Output,
    RunRecord,
    Tally,
    read_lines,
    read_record,
    record_path,
    run_lines,
    write_record,
)
from victor_dsl.workbench.batch.output import Mode

GRACE_S = 5.0
"""How long lines that were begun may go on after an interrupt."""

SHOWN_ERRORS = 10
"""How many failed lines are reported one by one; the output has them all."""


@frozen
class Batch:
    """What a batch is to do: with which lines, and where their answers go."""

    program: Program
    caller: Caller
    input: str
    output: str
    mode: Mode = "new"
    concurrency: int = 8
    renders: bool = False
    explains: bool = False

    def run(self) -> int:
        """Does it. The exit code: 0, 3 where a line has an error, 130 or 143 where a signal ended it."""
        with _opened(self.input) as stream:
            if _is(stream, self.output):
                raise UsageError("--input and --output are one file")
            with (
                Output(self.output, self.mode) as output,
                Ledger(output.answered() if self.mode == "resume" else ()) as ledger,
            ):
                run = _Run(self, output, self._record())
                asyncio.run(run.all(stream, ledger))
        return run.ended()

    def _record(self) -> RunRecord:
        """The record of this run: the one of the run that is resumed, else a new one, kept for a resume."""
        if self.renders or self.output == "-":
            return RunRecord.new()
        path = record_path(self.program.state, self.output)
        if self.mode == "resume" and (record := read_record(path)):
            return record
        record = RunRecord.new()
        write_record(path, record, self.output)
        return record


@define
class _Run:
    batch: Batch
    output: Output
    record: RunRecord
    tally: Tally = field(factory=Tally)
    began: float = field(factory=time.monotonic)
    stopping: asyncio.Event = field(factory=asyncio.Event)
    signals: list[int] = field(factory=list)

    async def all(self, stream: BinaryIO, ledger: Ledger) -> None:
        """Answers every line of the stream; after a signal, only those begun."""
        async with Orchestrator(self.batch.program, answering=not self.batch.renders) as orchestrator:
            with _progress(stream) as bar:
                job = self._job(orchestrator, bar)
                work = asyncio.ensure_future(
                    run_lines(
                        read_lines(stream),
                        ledger,
                        job,
                        concurrency=self.batch.concurrency,
                        ahead=1 if self.batch.renders else None,  # renders come in the order of the input
                        stopping=self.stopping,
                        tally=self.tally,
                    )
                )
                with self._signals(work):
                    try:
                        await work
                    except asyncio.CancelledError:
                        if not self.signals:
                            raise

    def ended(self) -> int:
        """Says how the run ended, and its exit code."""
        tally, seconds = self.tally, time.monotonic() - self.began
        verb = "rendered" if self.batch.renders else "answered"
        before = f" ({tally.skipped:,} before)" if tally.skipped else ""
        errors = f", {counted(tally.errors, 'error')}" if tally.errors else ""
        where = "" if self.batch.output == "-" else f" → {self.batch.output}"
        say(f"{counted(tally.answered, 'line')} {verb}{before}{errors}, in {seconds:.1f} s{where}")
        if self.signals:
            say("interrupted" if self.batch.output == "-" else "interrupted; --resume goes on from here")
            return 128 + self.signals[0]
        return EXIT_OUTSIDE if tally.errors else EXIT_OK

    def _job(self, orchestrator: Orchestrator, bar: Any) -> Job:
        async def answer(line: Line) -> Mapping[str, Any]:
            request = self.batch.caller.behind(read_request(line.data))
            request = evolve(request, id=line.id, turn_id=self.record.turn_id(line.id))
            if self.batch.renders:
                rendered = await orchestrator.render(request)
                if self.batch.explains:
                    say("\n".join([f"line {line.number}:", *kept_table(rendered)]))
                return rendered.as_json(explain=self.batch.explains)
            return (await orchestrator.answer(request)).as_json()

        def fail(line: Line, error: VictorError) -> Mapping[str, Any]:
            failed = _unrendered(line, error) if self.batch.renders else _unanswered(line, error)
            failed["error"]["line"] = line.number
            return failed

        def watch(line: Line, output: Mapping[str, Any]) -> None:
            if (error := output.get("error")) and self.tally.errors <= SHOWN_ERRORS:
                say(warning_line(f"{self.batch.input}:{line.number}: {error['message']}"))
                if self.tally.errors == SHOWN_ERRORS:
                    say("further errors are in the output alone")
            if bar is not None:
                bar.show(self.tally, time.monotonic() - self.began)

        return Job(answer, fail, self.output.write, watch, session=self.batch.caller.session)

    @contextmanager
    def _signals(self, work: asyncio.Future[Tally]) -> Iterator[None]:
        """The first signal lets begun lines finish for a while, the second breaks them off."""
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            self.signals.append(number)
            if self.stopping.is_set():
                work.cancel()
            else:
                self.stopping.set()
                loop.call_later(GRACE_S, work.cancel)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, int(number))
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _unanswered(line: Line, error: VictorError) -> dict[str, Any]:
    """The reply line of a line that never became a request."""
    return Answer(
        id=line.id,
        session=line.session or str(line.id),
        tenant=None,
        message=None,
        stop_reason="error",
        variants={},
        usage=Usage(),
        latency_ms=0.0,
        plan="",
        error=error,
    ).as_json()


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
        tokens=Tokens(),
        compaction=None,
        plan="",
        error=error,
    ).as_json()


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        # Unbuffered: a thread that waits inside a buffered reader holds a lock that Python needs to exit.
        yield getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(path).open("rb", buffering=0))
        except OSError as error:
            raise UsageError(f"--input {path}: {error.strerror}") from error
        yield stream


def _is(stream: BinaryIO, output: str) -> bool:
    """Whether the output is the file that the stream reads."""
    try:
        one, other = os.fstat(stream.fileno()), Path(output).stat()
    except OSError:
        return False
    return stat.S_ISREG(one.st_mode) and os.path.samestat(one, other)


def _progress(stream: BinaryIO) -> AbstractContextManager[Any]:
    """A progress bar where stderr is a terminal, else None."""
    if not sys.stderr.isatty():
        return nullcontext()
    status = os.fstat(stream.fileno())
    bar = importlib.import_module("victor_dsl.interfaces.cli.progress").Bar  # rich: 60 ms for terminals only
    made: AbstractContextManager[Any] = bar(status.st_size if stat.S_ISREG(status.st_mode) else None)
    return made
