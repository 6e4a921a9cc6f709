"""One message: its reply, or its rendered request."""

from __future__ import annotations

from attrs import evolve

from victor_dsl.errors import EXIT_OK, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.document import print_json
from victor_dsl.interfaces.cli.kept_table import kept_table
from victor_dsl.interfaces.cli.loop import run
from victor_dsl.interfaces.cli.output import error_line, say
from victor_dsl.interfaces.cli.terminal import Page
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.outcome import Answer, Rendered
from victor_dsl.values.request import Request


def answer_one(program: Program, request: Request, *, as_json: bool) -> int:
    """Shows the reply, streamed on a terminal, or prints the reply line; the exit code."""
    page = Page()

    async def answer() -> Answer:
        async with Orchestrator(program) as orchestrator:
            return await orchestrator.answer(request, page.emit if page.streams and not as_json else None)

    return show(run(answer()), page, as_json=as_json)


def render_one(program: Program, request: Request, *, indent: bool, explains: bool = False) -> int:
    """Prints the rendered request, and where it is to be explained what became of each message; the exit code.

    Like the first line of a batch it has the id 1, and without a session that is its session: arms are drawn by it, so
    that one command always shows the same.
    """
    request = evolve(request, id=1)

    async def render() -> Rendered:
        async with Orchestrator(program, answering=False) as orchestrator:
            return await orchestrator.render(request)

    rendered = run(render())
    if explains:
        say("\n".join(kept_table(rendered)))
    print_json(rendered.as_json(explain=explains), indent=indent)
    return _failure(rendered.error)


def show(answer: Answer, page: Page, *, as_json: bool) -> int:
    """Shows an answer's reply, or its reply line; what went wrong goes to stderr. The exit code."""
    if as_json:
        print_json(answer.as_json(), indent=False)
    elif answer.error:
        page.break_off()
    else:
        page.finish(answer.text)
        if answer.stop_reason != "stop":
            say(f"(the reply ended early: {answer.stop_reason})")
    return _failure(answer.error)


def _failure(error: VictorError | None) -> int:
    if error is None:
        return EXIT_OK
    say(error_line(str(error)))
    return error.exit_code
