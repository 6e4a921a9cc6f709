"""One message: its reply, or its rendered request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import orjson

from victor_dsl.errors import EXIT_OK, EXIT_OUTSIDE
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.loop import run
from victor_dsl.interfaces.cli.output import error_line, say
from victor_dsl.interfaces.cli.terminal import Page
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request


def answer_one(program: Program, request: Request, *, as_json: bool) -> int:
    """Shows the reply, streamed on a terminal, or prints the reply line; the exit code."""
    page = Page()

    async def answer() -> Mapping[str, Any]:
        async with Orchestrator(program) as orchestrator:
            emit = page.emit if page.streams and not as_json else None
            return (await orchestrator.answer(request, emit)).as_json()

    return show(run(answer()), page, as_json=as_json)


def render_one(program: Program, request: Request, *, indent: bool) -> int:
    """Prints the rendered request; the exit code."""

    async def render() -> Mapping[str, Any]:
        async with Orchestrator(program) as orchestrator:
            return (await orchestrator.render(request)).as_json()

    rendered = run(render())
    option = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    click.echo(orjson.dumps(rendered, option=option))
    return _failure(rendered)


def show(line: Mapping[str, Any], page: Page, *, as_json: bool) -> int:
    """Shows a reply line as a reply, or as it is; what went wrong goes to stderr. The exit code."""
    if as_json:
        click.echo(orjson.dumps(line, option=orjson.OPT_NON_STR_KEYS))
    elif line["error"]:
        page.break_off()
    else:
        page.finish(line["reply"])
        if line["stop_reason"] != "stop":
            say(f"(the reply ended early: {line['stop_reason']})")
    return _failure(line)


def _failure(line: Mapping[str, Any]) -> int:
    error = line["error"]
    if not error:
        return EXIT_OK
    say(error_line(error["message"]))
    return EXIT_OUTSIDE
