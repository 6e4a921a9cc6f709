"""Compares a program with its `victor.lock`, and makes the lock of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve

from victor_dsl.errors import LockError
from victor_dsl.graph.plan import Plan, Program
from victor_dsl.language.config import ModelConfig, ToolConfig
from victor_dsl.language.kinds import Contributor
from victor_dsl.language.lock import Lock, LockedServer, beside, node_of, read_lock
from victor_dsl.language.registry import Registry
from victor_dsl.lazy import Lazy
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.runtime import nodes as live
else:
    live = Lazy("victor_dsl.runtime.nodes")

MOST_DIFFERENCES = 8
"""In one message."""


def locked(program: Program) -> Program:
    """The program with its lock, so that no turn runs whose servers list other tools. Connects to nothing.

    Raises LockError where there is no lock, it is of another spec, or models or servers are not those that it has.
    """
    lock = read_lock(beside(program.file))
    check_name(lock, program)
    differences = [*_model_differences(lock.models, locked_models(program)), *_server_differences(lock, program)]
    if differences:
        shown = "; ".join(differences[:MOST_DIFFERENCES])
        more = f"; and {len(differences) - MOST_DIFFERENCES} more" if len(differences) > MOST_DIFFERENCES else ""
        hint = "`victor lock --check` shows the difference; accept it with `victor lock`"
        raise LockError(f"the spec is not what {lock.file} says: {shown}{more}", hint=hint)
    return evolve(program, lock=lock)


def check_name(lock: Lock, program: Program) -> None:
    """Raises LockError for the lock of another spec."""
    if lock.spec != program.name:
        raise LockError(
            f"{lock.file} is the lock of the spec '{lock.spec}', and this is '{program.name}'",
            hint="keep one spec in a folder; remove the file where the spec has a new name",
        )


async def lock_of(program: Program, registry: Registry) -> Lock:
    """The lock of a program as it is now. Connects to its servers, as a turn would. Raises ComponentError."""
    servers: dict[str, LockedServer] = {}
    for plan, node in program.distinct_nodes():
        if node.kind == "tools" and cast("ToolConfig", node.config).lists_tools():
            nodes = live.LiveNodes(registry, answering=False)
            async with nodes.open(plan.with_needs([node.id]), program) as objects:
                source = objects[node.id]
                turn = Turn(id="", session="", messages=(), tenant=plan.tenant)
                instructions = await source.contribute(turn) if isinstance(source, Contributor) else ""
                entry = LockedServer.of(getattr(source, "server", ""), instructions, await source.tools())
            if all(entry.differences(other) for place, other in servers.items() if node_of(place) == node.id):
                servers[_place(node.id, plan)] = entry
    return Lock(beside(program.file), program.name, locked_models(program), servers)


async def check_servers(program: Program, registry: Registry) -> None:
    """Connects to all servers of a program that has a lock. Raises LockError where one lists other tools."""
    assert program.lock is not None, "the program has a lock"
    for place, entry in (await lock_of(program, registry)).servers.items():
        program.lock.check_server(node_of(place), entry)


def locked_models(program: Program) -> dict[str, dict[str, Any]]:
    """Every model of every plan, with what is known of it; see `language.lock`."""
    found: dict[str, dict[str, Any]] = {}
    for plan, node in program.distinct_nodes():
        if node.kind != "models":
            continue
        config = cast("ModelConfig", node.config)
        price = config.price()
        entry = {
            "type": node.type,
            "model": getattr(config, "model", None),
            "context_window": config.window(),
            "usd_per_million": None if price is None else list(price),
        }
        if all(entry != other for place, other in found.items() if node_of(place) == node.id):
            found[_place(node.id, plan)] = entry
    return found


def _place(node: str, plan: Plan) -> str:
    parts = [f"tenant {plan.tenant}"] if plan.tenant is not None else []
    parts += [f"arm {experiment}.{arm}" for experiment, arm in plan.arms.items()]
    return f"{node} ({', '.join(parts)})" if parts else node


def _model_differences(before: Mapping[str, Mapping[str, Any]], now: dict[str, dict[str, Any]]) -> list[str]:
    found = [f"{place} is new" for place in now if place not in before]
    found += [f"{place} is gone" for place in before if place not in now]
    for place, facts in now.items():
        old = before.get(place, facts)
        found += [f"{key} of {place} is {new}, not {old.get(key)}" for key, new in facts.items() if old.get(key) != new]
    return found


def _server_differences(lock: Lock, program: Program) -> list[str]:
    known = {node_of(place) for place in lock.servers}
    tools = [node for _, node in program.distinct_nodes() if node.kind == "tools"]
    now = {node.id for node in tools if cast("ToolConfig", node.config).lists_tools()}
    return [*(f"{id} is new" for id in sorted(now - known)), *(f"{id} is gone" for id in sorted(known - now))]
