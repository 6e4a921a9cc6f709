"""`+key: [...]` adds to the list that lower layers have under `key`, instead of replacing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from victor_dsl.values.faults import Fault, Faulty, dotted, kind_of
from victor_dsl.values.settings import Added

ALLOWED_TOOLS = ("settings", "limits", "tools", "allow")
ADDED_TOOLS = (
    "'+allow' cannot give a layer more tools: every layer that writes `allow` must allow them",
    "write `allow: […]`, which narrows what lower layers allow",
)
"""The fault of a layer that adds to the allowed tools, and what to do."""


def added_to(key: str) -> str | None:
    """The key whose list a key adds to: `stop` of `+stop`; None for every other key, such as `+1`."""
    return key[1:] if key[:1] == "+" and (key[1:2].isalpha() or key[1:2] == "_") else None


def take_additions(values: Any) -> tuple[Any, Added]:
    """Values with `key` for each `+key`, and the paths of those. Raises Faulty."""
    added: set[tuple[str, ...]] = set()
    faults: list[Fault] = []
    plain = _plain(values, (), added, faults)
    if faults:
        raise Faulty(faults)
    return plain, frozenset(added)


def with_additions(values: Any, added: Added) -> Any:
    """The values with `+key` for the keys at these paths: the opposite of `take_additions`."""
    return _written(values, (), added) if added else values


def _plain(value: Any, path: tuple[str, ...], added: set[tuple[str, ...]], faults: list[Fault]) -> Any:
    if not isinstance(value, Mapping):
        return value
    made = {}
    for key, inner in value.items():
        name = added_to(key) if isinstance(key, str) else None
        if name is not None:
            fault = addition_fault(key, inner, is_beside=name in value)
            if (*path, name) == ALLOWED_TOOLS:
                fault = ADDED_TOOLS
            if fault is not None:
                faults.append(Fault((*path, key), f"{dotted(path)}: {fault[0]}", fault[1], "bad-addition", at_key=True))
            added.add((*path, name))
        made[name or key] = _plain(inner, (*path, name or key), added, faults)
    return made


def _written(value: Any, path: tuple[str, ...], added: Added) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        f"+{key}" if (*path, key) in added else key: _written(inner, (*path, key), added)
        for key, inner in value.items()
    }


def addition_fault(key: str, value: Any, *, is_beside: bool) -> tuple[str, str] | None:
    """What is wrong with a `+key` and its value, and what to do; `is_beside` says that its map has the key itself, too."""
    name = key[1:]
    if not isinstance(value, list | tuple):
        return f"'{key}' adds to a list, so its value must be a list, not {kind_of(value)}", f"write `{key}: […]`"
    if is_beside:
        return (
            f"'{key}' and '{name}' stand in one map",
            f"write one of them: '{key}' adds to the list below, '{name}' replaces it",
        )
    return None
