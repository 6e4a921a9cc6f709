"""`victor graph` and `victor assign`: which path a request takes, and which arms a unit gets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import click
import orjson

from victor_dsl.errors import UsageError
from victor_dsl.experiments import assignment
from victor_dsl.graph.drawing import DRAWINGS
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.caller import plan_of, read_arms
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import say


@click.command("graph", cls=Command, example="victor graph victor.yml --format mermaid")
@options.spec
@click.option(
    "--format", "format_", type=click.Choice(list(DRAWINGS)), default="text", show_default=True, help="How it is drawn."
)
@click.option("--tenant", metavar="T", help="The tenant whose plan is drawn.")
@click.option("--arm", "arms", metavar="EXPERIMENT=ARM", multiple=True, help="An arm of the plan; may be repeated.")
@options.untrusted
@options.environment
def graph(
    spec: str,
    format_: str,
    tenant: str | None,
    arms: tuple[str, ...],
    *,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Draw the components that a request passes on its way to the reply, each with its place in the spec."""
    program = compile_or_exit(spec, Surroundings(env_files, state, untrusted), require_secrets=False)
    chosen = read_arms(arms, program)
    click.echo(DRAWINGS[format_](plan_of(program, tenant, chosen)), nl=False)


@click.command("assign", cls=Command, example="victor assign victor.yml alice bob")
@options.spec
@click.argument("units", metavar="[UNIT...]", nargs=-1)
@click.option("--input", "input_", metavar="FILE", help="Units, one a line; - is stdin.")
@click.option("--tenant", metavar="T", help="The units' tenant, which may stay out of experiments.")
@options.environment
def assign(
    spec: str,
    units: tuple[str, ...],
    input_: str | None,
    tenant: str | None,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Print the arm of each unit in every experiment, one JSON object a line.

    A unit is the id of a session, a user or a tenant, as the experiment declares; where sessions belong to users, a
    session is USER/SESSION. The same unit has the same arm in every process and on every machine. An experiment that does not run, or does not include the unit, is left out.
    """
    if bool(units) == (input_ is not None):
        raise click.UsageError("pass either UNITs or --input")
    options.check_stdin(spec, input_)
    program = compile_or_exit(spec, Surroundings(env_files, state), require_secrets=False)
    plan_of(program, tenant, {})
    out = program.opted_out.get(tenant or "", frozenset())
    experiments = [experiment for experiment in program.experiments if experiment.name not in out]
    if not experiments:
        say(f"{spec} has no experiments" + (f" for {tenant}" if program.experiments else ""))
    with nullcontext(units) if input_ is None else _open(input_) as lines:
        for unit in _units(lines):
            click.echo(orjson.dumps({"unit": unit, "variants": _arms(experiments, unit)}))


def _arms(experiments: Iterable[assignment.Experiment], unit: str) -> dict[str, str]:
    arms = ((experiment.name, assignment.assign(experiment, unit)) for experiment in experiments)
    return {name: arm for name, arm in arms if arm is not None}


def _units(lines: Iterable[str]) -> Iterator[str]:
    return (unit for line in lines if (unit := line.rstrip("\r\n")))


def _open(name: str) -> AbstractContextManager[Iterable[str]]:
    if name == "-":
        return nullcontext(sys.stdin)
    try:
        return open(name, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read '{name}': {error.strerror}") from error
