"""`victor explain`: what a diagnostic's code means, by example."""

from __future__ import annotations

import textwrap

import click

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.shape import Command
from victor_dsl.language.codes import CODES, explain
from victor_dsl.nearest import suggest


@click.command("explain", cls=Command, example="victor explain unknown-component")
@click.argument("code", metavar="[CODE]", required=False)
def command(code: str | None) -> None:
    """Explain a diagnostic's code: a wrong spec, what `validate` prints for it, and the right spec. Without CODE, list all."""
    if code is None:
        width = max(map(len, CODES))
        for known in map(explain, CODES):
            click.echo(f"{known.code:{width}}  {known.summary}")
        return
    word = code.strip("[]").lower()
    if word not in CODES:
        raise UsageError(f"there is no diagnostic '{code}'; {suggest(code, CODES, what='codes', most=6)}")
    found = explain(word)
    click.echo(textwrap.fill(f"{click.style(found.code, bold=True)}: {found.meaning}", 96))
    for title, text in found.examples():
        click.echo(f"\n{click.style(title, fg={'Wrong': 'red', 'Right': 'green'}.get(title))}\n")
        click.echo(textwrap.indent(text.rstrip(), "    "))
