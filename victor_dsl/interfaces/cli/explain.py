"""`victor explain`: what a diagnostic's code means, by example."""

from __future__ import annotations

import textwrap

import click

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.shape import Command
from victor_dsl.language.codes import CODES
from victor_dsl.nearest import suggest


@click.command("explain", cls=Command, example="victor explain unknown-component")
@click.argument("code", metavar="[CODE]", required=False)
def command(code: str | None) -> None:
    """Explain the code of a diagnostic by a wrong and a right example. Without CODE, list all codes."""
    if code is None:
        width = max(map(len, CODES))
        for known in CODES.values():
            click.echo(f"{known.word:{width}}  {known.summary}")
        return
    found = CODES.get(code.strip("[]").lower())
    if found is None:
        raise UsageError(f"there is no diagnostic '{code}'; {suggest(code, CODES, what='codes', most=6)}")
    click.echo(textwrap.fill(f"{click.style(found.word, bold=True)}: {found.meaning}", 96))
    for title, text in found.examples():
        click.echo(f"\n{click.style(title, fg={'Wrong': 'red', 'Right': 'green'}.get(title))}\n")
        click.echo(textwrap.indent(text, "    "))
