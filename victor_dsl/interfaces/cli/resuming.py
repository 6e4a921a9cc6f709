"""A run is resumed with the spec that it began with: what answered its lines is compared with what would answer them now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from victor_dsl.graph.plan import Program
from victor_dsl.workbench.batch import RunRecord

Arms = tuple[tuple[str, str], ...]

SHOWN = 5
"""How many changed parts of the spec are named."""


def fingerprints(program: Program) -> dict[str, str]:
    """The fingerprints of the nodes of the base plan, by their ids."""
    return {node.id: node.fingerprint for node in program.plan_for(None, {}).nodes}


def changed_spec(program: Program, answers: Iterable[Mapping[str, Any]], record: RunRecord) -> str | None:
    """What has changed where answers come from other plans than the program's: each has its plan's digest, tenant and arms."""
    for tenant, arms, digest in {found for answer in answers if (found := _plan_of(answer)) is not None}:
        if not _has_arms(program, arms) or program.plan_for(tenant, dict(arms)).digest != digest:
            return f"the spec has changed since this run began: {_changes(program, record)}"
    return None


def _plan_of(answer: Mapping[str, Any]) -> tuple[str | None, Arms, str] | None:
    """The tenant, arms and digest of the plan that an answer came from; None for an error before there was one."""
    tenant, arms, digest = answer.get("tenant"), answer.get("variants"), answer.get("plan")
    if not isinstance(digest, str) or not digest or not isinstance(arms, dict) or not isinstance(tenant, str | None):
        return None
    return tenant, tuple(sorted((name, str(arm)) for name, arm in arms.items())), digest


def _has_arms(program: Program, arms: Arms) -> bool:
    known = {experiment.name: experiment.arms for experiment in program.experiments}
    return all(arm in known.get(experiment, {}) for experiment, arm in arms)


def _changes(program: Program, record: RunRecord) -> str:
    before, now = record.nodes, fingerprints(program)
    names = sorted(id for id in before.keys() | now.keys() if before.get(id) != now.get(id)) if before else []
    if not names:
        return "its settings, vars or overlays"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
