"""`victor render`: what the model would be sent, and why."""

from __future__ import annotations

import sys

import click

from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.batch import Batch
from victor_dsl.interfaces.cli.caller import Caller
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.shape import Command
from victor_dsl.interfaces.cli.single import render_one


@click.command("render", cls=Command, example='victor render victor.yml --message "Where is my order?"')
@options.spec
@click.option("--message", metavar="TEXT", help="The user's message; - reads it from stdin.")
@click.option("--input", "input_", metavar="FILE.jsonl", help="Request lines; - is stdin.")
@click.option("--output", metavar="FILE.jsonl", help="Where rendered requests go, anew each time.  [default: stdout]")
@click.option(
    "--explain-compaction",
    is_flag=True,
    help="Say of each message why it was kept or left out: a table on stderr, and `messages` in `compaction`.",
)
@options.caller
@options.untrusted
@options.environment
def command(
    spec: str,
    message: str | None,
    input_: str | None,
    output: str | None,
    *,
    explain_compaction: bool,
    session: str | None,
    tenant: str | None,
    user: str | None,
    arms: tuple[str, ...],
    variables: tuple[str, ...],
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Show exactly what the model would be sent, and where each value comes from. No model is called.

    Prints one JSON object for each request, in the order of the input. Nothing is admitted, counted or written to
    a session. Exits 3 when a request could not be rendered; its object says why.

    What is left of a long history is in `messages`, and where it stood in `kept`. To see why:

      victor render victor.yml --input in.jsonl --explain-compaction >/dev/null
    """
    if (message is None) == (input_ is None):
        raise click.UsageError("give either --message or --input")
    if output is not None and input_ is None:
        raise click.UsageError("--output goes with --input")
    options.check_stdin(spec, message, input_)
    program = compile_or_exit(spec, Surroundings(env_files, state, untrusted), need_secrets=False)
    caller = Caller.read(program, session=session, tenant=tenant, user=user, arms=arms, variables=variables)
    if input_ is not None:
        code = Batch(
            program,
            caller,
            input_,
            output or "-",
            "overwrite",
            concurrency=1,
            renders=True,
            explains=explain_compaction,
        ).run()
    else:
        text = sys.stdin.read() if message == "-" else str(message)
        code = render_one(program, caller.request(text), indent=sys.stdout.isatty(), explains=explain_compaction)
    raise click.exceptions.Exit(code)
