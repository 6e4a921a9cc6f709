"""`victor validate --connect`: opens every component of every plan, and closes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from random import Random
from typing import Any

from victor_dsl.errors import VictorError
from victor_dsl.graph.plan import Node, Plan, Program
from victor_dsl.interfaces.cli.loop import run
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.build import LiveObjects
from victor_dsl.runtime.clock import SystemClock

MOST_PLANS = 1_000
"""Plans beyond these are not looked at; tenants come first, so that each has its turn."""


def connect(program: Program, registry: Registry) -> list[str]:
    """What went wrong, each once; empty where everything could be opened and closed."""
    return run(_connect(program, registry))


async def _connect(program: Program, registry: Registry) -> list[str]:
    failures: dict[str, None] = {}

    def report(node: str, message: str, _: Mapping[str, Any]) -> None:
        failures[f"{node}: {message}"] = None

    live = LiveObjects(program, registry, SystemClock(), Random(), report)  # noqa: S311 - jitter
    held = []
    try:
        for plan, node in _distinct(program):
            try:
                held.append(await live.open(with_needs(plan, node)))
            except VictorError as error:
                failures[str(error)] = None
    finally:
        for one in reversed(held):
            await live.release(one)
    return list(failures)


def _distinct(program: Program) -> Iterator[tuple[Plan, Node]]:
    """Every node of every plan, each (id, fingerprint) once."""
    seen = set()
    arms = [[(one.name, arm) for arm in one.arms] for one in program.experiments]
    tenants = (None, *sorted(program.tenants))
    for combination, tenant in islice(product(product(*arms), tenants), MOST_PLANS):
        plan = program.plan_for(tenant, dict(combination))
        for node in plan.nodes:
            if (node.id, node.fingerprint) not in seen:
                seen.add((node.id, node.fingerprint))
                yield plan, node


def with_needs(plan: Plan, node: Node) -> list[Node]:
    """The node behind all that it needs, in the plan's order."""
    wanted = {node.id}
    for one in reversed(plan.nodes):
        if one.id in wanted:
            wanted.update(one.needs)
    return [one for one in plan.nodes if one.id in wanted]
