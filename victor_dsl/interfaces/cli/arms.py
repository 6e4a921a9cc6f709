"""`--arm experiment=arm`, held against the spec's experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from victor_dsl.errors import UsageError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.output import pairs
from victor_dsl.nearest import suggest


def read_arms(given: Sequence[str], program: Program) -> Mapping[str, str]:
    """The forced arm of each experiment. Raises UsageError with the nearest name where there is no such arm."""
    arms = pairs(given, "--arm")
    known = {experiment.name: experiment.arms for experiment in program.experiments}
    for experiment, arm in arms.items():
        if experiment not in known:
            raise UsageError(f"variants has no '{experiment}'; {suggest(experiment, known, what='experiments')}")
        if arm not in known[experiment]:
            raise UsageError(
                f"variants.{experiment} has no arm '{arm}'; {suggest(arm, known[experiment], what='arms')}"
            )
    return arms
