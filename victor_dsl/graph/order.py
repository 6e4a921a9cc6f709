"""The order in which nodes can be opened: each after those that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter


class Cycle(ValueError):
    """Nodes that need one another; `ids` is the cycle, its first id again at the end."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__(" -> ".join(ids))
        self.ids = ids


def dependency_order(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Every id after those that it needs; otherwise the order stays. Raises Cycle."""
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise Cycle(list(error.args[1])) from error
    position = {id: i for i, id in enumerate(needs)}
    ordered: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda id: position.get(id, -1))
        ordered += ready
        sorter.done(*ready)
    return tuple(ordered)
