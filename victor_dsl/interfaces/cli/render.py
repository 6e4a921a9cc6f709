"""`victor render`: what the model would be sent, and why."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence

import click
from attrs import evolve

from victor_dsl.errors import EXIT_OK
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli import options, running
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.batch import Batch
from victor_dsl.interfaces.cli.caller import Caller, plan_of
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import count_of, print_json, report, say, without_controls
from victor_dsl.interfaces.cli.pages import page_text
from victor_dsl.interfaces.cli.render_page import render_page
from victor_dsl.interfaces.request_lines import example_request
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.source.redaction import redacted
from victor_dsl.values.message import Message
from victor_dsl.values.outcome import Explained, Rendered
from victor_dsl.values.request import Request

COLUMNS = 120
"""The width of the table of messages where there is no terminal."""
WHY_COLUMNS = 60
"""The longest reason in it."""
READ_CHARACTERS = 2_000
"""How much of a message is read for its first words: secrets in it are hidden before the text is cut."""


@click.command("render", cls=Command, example='victor render victor.yml --message "Where is my order?"')
@options.spec
@click.option("--message", metavar="TEXT", help="The user's message; - reads it from stdin.")
@click.option("--input", "input_", metavar="FILE.jsonl", help="Request lines, or a YAML file of tests; - is stdin.")
@click.option(
    "--output",
    metavar="FILE.jsonl",
    help="Where rendered requests go; an existing file is replaced.  [default: stdout]",
)
@click.option("--example", is_flag=True, help="Print a valid request line instead, with a value for each input.")
@click.option(
    "--explain-compaction",
    is_flag=True,
    help="Give the reason why each message was kept or left out: on the page, or as a table on stderr and `messages` in "
    "`compaction`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on a terminal, too.")
@options.caller
@options.locked
@options.untrusted
@options.environment
def render(
    spec: str,
    message: str | None,
    input_: str | None,
    output: str | None,
    *,
    example: bool,
    explain_compaction: bool,
    as_json: bool,
    about: options.CallerOptions,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Show exactly what the model would be sent, and where each value comes from. No model is called.

    On a terminal, --message shows a page. Elsewhere, and with --input, --output or --json, it is one JSON object for each
    request, in the order of the input. No caller is checked, nothing is counted or written to a session. Exits 3 when a
    request could not be rendered; its object says why.

    `messages` is what compaction kept of a long history, `kept` its positions in the input. For the reasons:

      victor render victor.yml --input in.jsonl --explain-compaction >/dev/null
    """
    if [message is not None, input_ is not None, example].count(True) != 1:
        if not options.is_spec(spec):
            raise click.UsageError(f"'{spec}' is not a spec; write a message as: --message {shlex.quote(spec)}")
        raise click.UsageError("pass one of --message, --input and --example")
    if output is not None and input_ is None:
        raise click.UsageError("--output requires --input")
    options.check_stdin(spec, message, input_)
    program = compile_or_exit(spec, Surroundings(env_files, state, untrusted), require_secrets=False)
    caller = Caller.read(program, about)
    if example:
        print_json(example_request(plan_of(program, caller.tenant, caller.arms)), indent=False)
        code = EXIT_OK
    elif input_ is not None:
        code = Batch(
            program,
            caller,
            input_,
            output or "-",
            "overwrite",
            concurrency=1,
            renders=True,
            explain=_reasons if explain_compaction else None,
        ).run()
    else:
        text = sys.stdin.read() if message == "-" else str(message)
        for_people = sys.stdout.isatty() and not as_json
        code = _render_one(program, caller.request(text), explains=explain_compaction, for_people=for_people)
    raise click.exceptions.Exit(code)


def _render_one(program: Program, request: Request, *, explains: bool, for_people: bool) -> int:
    """Prints the rendered request, and with `explains` why each message was kept or left out; the exit code.

    Like the first line of a batch it has the id 1, which is also its session if it has none: arms depend on it, so the
    same command always prints the same.
    """
    request = evolve(request, id=1)

    async def rendered_request() -> Rendered:
        async with running.shown_opening(Orchestrator(program, answering=False)) as orchestrator:
            return await orchestrator.render(request)

    rendered = running.run(rendered_request())
    if for_people:
        click.echo(page_text(render_page(rendered, program.file, explain=explains)), nl=False, color=True)
        return EXIT_OK if rendered.error is None else rendered.error.exit_code
    if explains:
        say("\n".join(_reasons(rendered)))
    print_json(rendered.to_dict(explain=explains), indent=sys.stdout.isatty())
    return report(rendered.error)


def _reasons(rendered: Rendered) -> Iterator[str]:
    """A line with what compaction did, then a line for each message of the input, with its reason.

    Texts are shortened, without secrets, and cannot drive a terminal.
    """
    yield _heading(rendered)
    if rendered.mending is not None:
        closed, left_out, moved = rendered.mending.closed, rendered.mending.left_out, rendered.mending.moved
        if closed:
            yield f"tool calls without a result, given a stand-in, in: {', '.join(map(str, closed))}"
        if left_out:
            yield f"results without a call, left out: {', '.join(map(str, left_out))}"
        if moved:
            yield f"results that did not follow their call, moved behind it: {', '.join(map(str, moved))}"
    rows = rendered.explained
    if not rows:
        return
    indices = max(len("index"), len(str(rows[-1].index)))
    tokens = max(len("tokens"), *(len(f"{row.tokens:,}") for row in rows))
    why = max(len("why"), *(len(_line(row.why, WHY_COLUMNS)) for row in rows))
    start = f"{'index':>{indices}}  {'role':9}  {'tokens':>{tokens}}  kept  {'why':{why}}  "
    yield f"{start}text"
    room = max(_columns() - len(start), 20)
    for row in rows:
        mark = "yes" if row.kept else "no"
        about = f"{row.index:>{indices}}  {row.message.role:9}  {row.tokens:>{tokens},}  {mark:4}  {_line(row.why, WHY_COLUMNS):{why}}"
        yield click.style(f"{about}  {_first_words(row.message, room)}".rstrip(), dim=None if row.kept else True)


def _heading(rendered: Rendered) -> str:
    kept, tokens = _sums([row for row in rendered.explained if row.kept])
    messages, before = _sums(rendered.explained)
    about = f"{kept} of {count_of(messages, 'message')} kept, {tokens:,} of {before:,} tokens"
    record = rendered.compaction
    if record is None:
        return f"{about}; no compaction was needed"
    stands_in = ", the fallback of one that failed" if record.fallback else ""
    return f"{about}; by {record.type}{stands_in}, with a target of {record.target:,}"


def _sums(rows: Sequence[Explained]) -> tuple[int, int]:
    return len(rows), sum(row.tokens for row in rows)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal, or no file
        return COLUMNS


def _first_words(message: Message, room: int) -> str:
    text = message.text()[:READ_CHARACTERS]
    if not text.strip():
        text = ", ".join(f"{call.name}({call.arguments[:READ_CHARACTERS]})" for call in message.tool_calls[:9])
    return _line(text, room)


def _line(text: str, room: int) -> str:
    line = without_controls(" ".join(redacted(text).split()))
    return line if len(line) <= room else f"{line[: room - 1]}…"
