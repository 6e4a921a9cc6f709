"""`victor assign`: the arms of units."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import click
import orjson

from victor_dsl.errors import UsageError
from victor_dsl.experiments.assignment import Experiment, assign
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import say
from victor_dsl.interfaces.cli.shape import Command


@click.command("assign", cls=Command, example="victor assign victor.yml alice bob")
@options.spec
@click.argument("units", metavar="[UNIT...]", nargs=-1)
@click.option("--input", "input_", metavar="FILE", help="Units, one a line; - is stdin.")
@click.option("--tenant", metavar="T", help="The tenant that the units belong to: it may stay out of experiments.")
@options.environment
def command(
    spec: str,
    units: tuple[str, ...],
    input_: str | None,
    tenant: str | None,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Print the arm of each unit in every experiment, one JSON object a line.

    A unit is the id of a session, a user or a tenant, as the experiment says. The same unit has the same arm in every
    process and on every machine; an experiment that does not run, or that the unit is not in, is left out.
    """
    if bool(units) == (input_ is not None):
        raise click.UsageError("give either UNITs or --input")
    options.check_stdin(spec, input_)
    program = compile_or_exit(spec, Surroundings(env_files, state), need_secrets=False)
    out = program.opted_out.get(tenant or "", frozenset())
    experiments = [experiment for experiment in program.experiments if experiment.name not in out]
    if not experiments:
        say(f"{spec} has no experiments" + (f" for {tenant}" if program.experiments else ""))
    with nullcontext(units) if input_ is None else _open(input_) as lines:
        for unit in _units(lines):
            click.echo(orjson.dumps({"unit": unit, "variants": _arms(experiments, unit)}))


def _arms(experiments: Iterable[Experiment], unit: str) -> dict[str, str]:
    arms = ((experiment.name, assign(experiment, unit)) for experiment in experiments)
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
