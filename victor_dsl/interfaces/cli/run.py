"""`victor run`: one message, a chat, or a batch."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import click

from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli import options, running
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.batch import Batch
from victor_dsl.interfaces.cli.caller import Caller
from victor_dsl.interfaces.cli.chat import chat
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import harmless, say, warning_line
from victor_dsl.interfaces.cli.replies import Page
from victor_dsl.language.config import ModelConfig
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request
from victor_dsl.workbench.batch.output import Mode

LOGGERS = ("victor", "victor_dsl")
"""The spec's own middleware log under the first, the package under the second."""

TOLD = ("victor_dsl.reload", "victor_dsl.dashboard")
"""What a chat says also when it is quiet: a reload, and the dashboard's address."""


@click.command("run", cls=Command, example='victor run victor.yml "Where is my order?"')
@options.spec
@click.argument("message", metavar="[MESSAGE]", required=False)
@click.option(
    "--input", "input_", metavar="FILE.jsonl", help="A batch: one request a line, or a YAML file of tests; - is stdin."
)
@click.option("--output", metavar="FILE.jsonl", help="Where a batch's reply lines go.  [default: stdout]")
@click.option("--resume", is_flag=True, help="Continue the run that wrote the output: answer the lines it lacks.")
@click.option("--retry-errors", is_flag=True, help="With --resume: ask the lines again whose reply line has an error.")
@click.option(
    "--force", is_flag=True, help="With --resume: continue although the spec or an answered line has changed."
)
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=8,
    show_default=True,
    help="How many lines of a batch are answered at the same time.",
)
@click.option(
    "--no-wait",
    is_flag=True,
    help="Write an error for a line that `settings.limits` refuse, instead of asking it again when they allow it.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="In a chat, reload the spec and the Python modules of its folder when they change, not only prompts; SIGHUP does so at once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print reply lines instead of replies.")
@options.caller
@options.api_key
@options.log
@options.locked
@options.untrusted
@options.environment
def run(
    spec: str,
    message: str | None,
    input_: str | None,
    output: str | None,
    *,
    resume: bool,
    retry_errors: bool,
    force: bool,
    overwrite: bool,
    concurrency: int,
    no_wait: bool,
    watch: bool,
    as_json: bool,
    about: options.CallerOptions,
    api_key: str | None,
    quiet: bool,
    verbose: bool,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Answer one MESSAGE, hold a chat, or answer a batch of request lines.

    With a MESSAGE (- reads it from stdin), print its reply. Without one, chat: each line from the keyboard, or from
    stdin, is a message of one session.

    With --input, answer every line: one reply line each, in order of completion; the lines of one session stay in
    order. A bad line becomes an error object, and the other lines run. --resume leaves lines with an error as they are;
    --resume --retry-errors asks them again, and their new reply lines replace the old ones. Where the spec has changed,
    or an answered line, --resume says so and stops; with --force it continues, and with --retry-errors a changed spec
    is only reported. Where a provider refuses requests for their rate, the batch pauses and continues with fewer lines
    at a time. A line that a limit of the spec refuses waits until the limit allows it, and other lines go on; with
    --no-wait, or where that takes more than an hour, it becomes an error.

    Exits 3 when a message was not answered, or while the output of a batch has an error.
    """
    _check(message, input_, output, resume=resume, overwrite=overwrite, as_json=as_json)
    if retry_errors and not resume:
        raise click.UsageError("--retry-errors requires --resume")
    if force and not resume:
        raise click.UsageError("--force requires --resume")
    options.check_stdin(spec, message, input_)
    surroundings = Surroundings(env_files, state, untrusted)
    program = compile_or_exit(spec, surroundings, require_secrets=True)
    if not quiet:
        for line in _unknown_models(program):
            say(warning_line(line))
    key = api_key or options.read_environment(env_files, os.environ).get(options.API_KEY)
    caller = Caller.read(program, about, key)
    chats = input_ is None and message is None
    with _log_on_stderr(quiet=quiet, verbose=verbose, chats=chats):
        if input_ is not None:
            mode: Mode = "resume" if resume else "overwrite" if overwrite else "new"
            batch = Batch(
                program,
                caller,
                input_,
                output or "-",
                mode,
                concurrency,
                retry_errors=retry_errors,
                force=force,
                waits=not no_wait,
            )
            code = batch.run()
        elif message is not None:
            text = sys.stdin.read() if message == "-" else message
            if not text.strip():
                raise click.UsageError("the message is empty")
            code = _answer_one(program, caller.request(text), as_json=as_json)
        else:
            recompile = partial(surroundings.compile, spec, require_environment=True, require_secrets=True)
            code = chat(program, caller, recompile, watch=watch, as_json=as_json)
    raise click.exceptions.Exit(code)


def _unknown_models(program: Program) -> Iterator[str]:
    """What is not known of the models of servers, and what to write."""
    for node in program.plan_for(None, {}).nodes:
        config = node.config
        if not isinstance(config, ModelConfig) or not hasattr(config, "model"):
            continue
        unknown = []
        if config.window() is None:
            unknown.append("its window (write `context_window`, so that long histories are shortened in time)")
        if config.price() is None:
            unknown.append(
                "its price (write `input_usd_per_million` and `output_usd_per_million`, so that cost is counted)"
            )
        if unknown:
            yield f"{node.id}: victor does not know {' and '.join(unknown)}"


def _check(
    message: str | None, input_: str | None, output: str | None, *, resume: bool, overwrite: bool, as_json: bool
) -> None:
    if input_ is None:
        for value, option in ((output, "--output"), (resume, "--resume"), (overwrite, "--overwrite")):
            if value:
                raise click.UsageError(f"{option} requires --input")
        return
    if message is not None:
        raise click.UsageError("pass either MESSAGE or --input")
    if as_json:
        raise click.UsageError("--input always gives JSON lines; --json is for one message or a chat")
    if resume and overwrite:
        raise click.UsageError("pass either --resume or --overwrite")
    if resume and output in (None, "-"):
        raise click.UsageError("--resume needs an --output that is a file")


def _answer_one(program: Program, request: Request, *, as_json: bool) -> int:
    """Shows the reply, streamed on a terminal, or prints the reply line; the exit code."""
    page = Page()

    code: list[int] = []

    async def answer() -> None:
        async with running.shown_opening(Orchestrator(program)) as orchestrator:
            with page.answering():
                reply = await orchestrator.answer(request, page.emit if page.streams and not as_json else None)
                code.append(page.show(reply, as_json=as_json))

    running.run(answer())
    return code[0]


@contextmanager
def _log_on_stderr(*, quiet: bool, verbose: bool, chats: bool) -> Iterator[None]:
    """Shows log lines of level info and above; with `quiet` only warnings, with `verbose` all. Of other packages, warnings are shown.

    A chat is quiet unless it is `verbose`, and shows how each turn ended by itself; but without `quiet` it shows what `TOLD` names.
    """
    levels = dict.fromkeys(LOGGERS, logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    if chats and not verbose:
        levels = {"victor": logging.ERROR, "victor_dsl": logging.WARNING}
        levels |= {} if quiet else dict.fromkeys(TOLD, logging.INFO)
    handler = _Stderr()
    before = [(logger, logger.level, logger.propagate) for logger in map(logging.getLogger, levels)]
    handled = [logging.getLogger(), *map(logging.getLogger, LOGGERS)]
    for logger in handled:
        logger.addHandler(handler)
    for name, its_level in levels.items():
        logging.getLogger(name).setLevel(its_level)
    for name in LOGGERS:
        logging.getLogger(name).propagate = False
    try:
        yield
    finally:
        for logger in handled:
            logger.removeHandler(handler)
        for logger, old_level, propagated in before:
            logger.setLevel(old_level)
            logger.propagate = propagated


class _Stderr(logging.Handler):
    """Each record as one line for people: `12:30:00 info turn session=s1 ms=812.4 outcome=stop`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line to the current `sys.stderr`: while a progress bar is shown, that is the bar's."""
        try:
            when = time.strftime("%H:%M:%S", time.localtime(record.created))
            say(f"{when} {record.levelname.lower()} {harmless(self.format(record), '  ')}")
        except Exception:  # noqa: BLE001 - logging must not break what it logs
            self.handleError(record)
