"""Which arm of each experiment a turn is in."""

from __future__ import annotations

from collections.abc import Mapping

from victor_dsl.errors import RequestError
from victor_dsl.experiments.assignment import Experiment, assign
from victor_dsl.graph.plan import Program
from victor_dsl.nearest import suggest
from victor_dsl.values.turn import Turn


def assign_arms(program: Program, turn: Turn) -> dict[str, str]:
    """The turn's arm by experiment: the one that the request forces, else its unit's.

    An experiment is left out where it does not run, the tenant has opted out, or the turn has no such unit.
    Raises RequestError for a forced arm that does not exist.
    """
    forced = turn.request.arms
    if forced:
        _check(forced, program.experiments)
    if not program.experiments:
        return {}
    out = program.opted_out.get(turn.tenant or "", frozenset())
    arms: dict[str, str] = {}
    for experiment in program.experiments:
        if experiment.name in forced:
            arms[experiment.name] = forced[experiment.name]
        elif experiment.name not in out and (unit := unit_of(experiment, turn)) is not None:
            arm = assign(experiment, unit)
            if arm is not None:
                arms[experiment.name] = arm
    return arms


def unit_of(experiment: Experiment, turn: Turn) -> str | None:
    """What the experiment assigns of this turn; None where the turn has none."""
    return {"session": turn.session, "user": turn.user, "tenant": turn.tenant}[experiment.unit]


def _check(forced: Mapping[str, str], experiments: tuple[Experiment, ...]) -> None:
    by_name = {experiment.name: experiment for experiment in experiments}
    for name, arm in forced.items():
        if name not in by_name:
            raise RequestError(f"arms.{name}: there is no such experiment; {suggest(name, by_name)}")
        if arm not in by_name[name].arms:
            raise RequestError(f"arms.{name}: the experiment has no arm '{arm}'; {suggest(arm, by_name[name].arms)}")
