"""`victor run`: one message, a chat, or a batch."""

from __future__ import annotations

import sys
from functools import partial

import click

from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.batch import Batch
from victor_dsl.interfaces.cli.caller import Caller
from victor_dsl.interfaces.cli.chat import chat
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.log import shown_log
from victor_dsl.interfaces.cli.shape import Command
from victor_dsl.interfaces.cli.single import answer_one
from victor_dsl.workbench.batch.output import Mode


@click.command("run", cls=Command, example='victor run victor.yml "Where is my order?"')
@options.spec
@click.argument("message", metavar="[MESSAGE]", required=False)
@click.option("--input", "input_", metavar="FILE.jsonl", help="A batch: one request a line; - is stdin.")
@click.option("--output", metavar="FILE.jsonl", help="Where a batch's reply lines go.  [default: stdout]")
@click.option("--resume", is_flag=True, help="Go on where the run that wrote the output stopped.")
@click.option("--overwrite", is_flag=True, help="Write over an output that exists.")
@click.option(
    "--concurrency",
    metavar="N",
    type=click.IntRange(1, 10_000),
    default=8,
    show_default=True,
    help="How many lines of a batch are answered at a time.",
)
@click.option("--watch", is_flag=True, help="In a chat, put changes of the spec into force; SIGHUP always does.")
@click.option("--json", "as_json", is_flag=True, help="Print reply lines instead of replies.")
@options.caller
@options.api_key
@options.log
@options.untrusted
@options.environment
def command(
    spec: str,
    message: str | None,
    input_: str | None,
    output: str | None,
    *,
    resume: bool,
    overwrite: bool,
    concurrency: int,
    watch: bool,
    as_json: bool,
    session: str | None,
    tenant: str | None,
    user: str | None,
    arms: tuple[str, ...],
    variables: tuple[str, ...],
    api_key: str | None,
    quiet: bool,
    verbose: bool,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Answer one MESSAGE, hold a chat, or answer a batch of request lines.

    With a MESSAGE (- reads it from stdin), print its reply. Without one, chat: each line that is typed, or that comes
    on stdin, is a message of one session.

    With --input, answer every line: one reply line each, in order of completion, the lines of one session in
    theirs. A bad line becomes an error object and the others run. --resume answers the lines that the output lacks;
    an answer that is an error counts as one.

    Exits 3 when a message, or any line of a batch, was not answered.
    """
    _check(message, input_, output, resume=resume, overwrite=overwrite, as_json=as_json)
    options.check_stdin(spec, message, input_)
    surroundings = Surroundings(env_files, state, untrusted)
    program = compile_or_exit(spec, surroundings, need_secrets=True)
    caller = Caller.read(
        program, session=session, tenant=tenant, user=user, arms=arms, variables=variables, api_key=api_key
    )
    with shown_log(quiet=quiet, verbose=verbose):
        if input_ is not None:
            mode: Mode = "resume" if resume else "overwrite" if overwrite else "new"
            code = Batch(program, caller, input_, output or "-", mode, concurrency).run()
        elif message is not None:
            text = sys.stdin.read() if message == "-" else message
            code = answer_one(program, caller.request(text), as_json=as_json)
        else:
            anew = partial(surroundings.compile, spec, need_environment=True, need_secrets=True)
            code = chat(program, caller, anew, watch=watch, as_json=as_json)
    raise click.exceptions.Exit(code)


def _check(
    message: str | None, input_: str | None, output: str | None, *, resume: bool, overwrite: bool, as_json: bool
) -> None:
    if input_ is None:
        for given, option in ((output, "--output"), (resume, "--resume"), (overwrite, "--overwrite")):
            if given:
                raise click.UsageError(f"{option} goes with --input")
        return
    if message is not None:
        raise click.UsageError("give either MESSAGE or --input")
    if as_json:
        raise click.UsageError("--input gives JSON lines by itself; --json is for one message or a chat")
    if resume and overwrite:
        raise click.UsageError("give either --resume or --overwrite")
    if resume and output in (None, "-"):
        raise click.UsageError("--resume needs an --output that is a file")
