"""`victor graph`: a spec's request path, drawn."""

from __future__ import annotations

import click

from victor_dsl.graph.drawing import DRAWINGS
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.arms import read_arms
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.shape import Command


@click.command("graph", cls=Command, example="victor graph victor.yml --format mermaid")
@options.spec
@click.option(
    "--format", "format_", type=click.Choice(list(DRAWINGS)), default="text", show_default=True, help="How it is drawn."
)
@click.option("--tenant", metavar="T", help="The tenant whose plan is drawn.")
@click.option("--arm", "arms", metavar="EXPERIMENT=ARM", multiple=True, help="An arm of the plan; may be repeated.")
@options.environment
def command(
    spec: str, format_: str, tenant: str | None, arms: tuple[str, ...], env_files: tuple[str, ...], state: str | None
) -> None:
    """Draw what a request passes on its way to the reply, each component with its place in the spec."""
    program = compile_or_exit(spec, Surroundings(env_files, state), need_secrets=False)
    chosen = read_arms(arms, program)
    click.echo(DRAWINGS[format_](program.plan_for(tenant, chosen)), nl=False)
