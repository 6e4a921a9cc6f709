"""Whom a change affects: tenants and arms whose plan differs, and components that restart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import frozen

from victor_dsl.graph.plan import Node, Plan, Program

Json = dict[str, Any]


@frozen
class Outline:
    """What of a program says whom a change affects: digests of plans, fingerprints of nodes that do not depend on the spec's folder,
    and the unit of each experiment; and the names of its models."""

    base: str
    tenants: Mapping[str, str]
    arms: Mapping[str, str]
    nodes: Mapping[str, str]
    units: Mapping[str, str]
    models: Sequence[str] = ()

    @classmethod
    def of(cls, program: Program, root: str) -> Outline:
        """The outline of a program whose files lie in the folder `root`."""
        base = program.plan_for(None, {})
        arms = [(one.name, arm) for one in program.experiments for arm in one.arms]
        of_arms = {f"{name}.{arm}": program.plan_for(None, {name: arm}) for name, arm in arms}
        of_tenants = {name: program.plan_for(name, {}) for name in sorted(program.tenants)}
        nodes: dict[str, str] = {}
        for plan in (base, *of_tenants.values(), *of_arms.values()):
            _fingerprints(plan, root, nodes)
        return cls(
            base.digest,
            {name: plan.digest for name, plan in of_tenants.items()},
            {name: plan.digest for name, plan in of_arms.items()},
            nodes,
            {one.name: one.unit for one in program.experiments},
            sorted(base.roles.models),
        )


def affected(old: Outline, new: Outline) -> Json:
    """The tenants and arms whose plan differs, comes or goes; whether the base does; and the nodes that restart, come or go."""
    return {
        "base": old.base != new.base,
        "tenants": _differing(old.tenants, new.tenants),
        "arms": _differing(old.arms, new.arms),
        "restarts": sorted({name.partition("\0")[0] for name in _differing(old.nodes, new.nodes)}),
    }


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _fingerprints(plan: Plan, root: str, found: dict[str, str]) -> None:
    """Adds one for each node of a plan, by its id and fingerprint: plans may have several nodes of an id."""
    made: dict[str, str] = {}
    for node in plan.nodes:
        print_ = made[node.id] = _fingerprint(node, root, [made[need] for need in node.needs])
        found[f"{node.id}\0{print_}"] = print_


def _fingerprint(node: Node, root: str, below: list[str]) -> str:
    config = orjson.dumps(node.config.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS, default=str)
    digest = hashlib.sha256(config.replace(root.encode(), b""))
    digest.update(orjson.dumps([node.type, below]))
    for path, data in sorted(node.files.items()):
        digest.update(path.replace(root, "").encode("utf-8", "surrogateescape"))
        digest.update(data)
    return digest.hexdigest()
