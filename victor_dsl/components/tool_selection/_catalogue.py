"""Which catalogue the tools at hand belong to, so that what is known of it serves every part of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from attrs import frozen

from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

T = TypeVar("T")

LARGE = 200
"""From so many tools on, what is made of them takes tens of milliseconds and megabytes."""


@frozen(eq=False)
class Part:
    """Tools at hand, and the catalogue that they are a part of.

    `places` has where each of them stands, by its position in the catalogue; None says that they are all of it.
    """

    tools: tuple[Tool, ...]
    catalogue: tuple[Tool, ...]
    places: Mapping[int, int] | None


class Parts:
    """Finds the catalogue of tools: the turn's own, of which tenants' limits and earlier strategies leave a part.

    Few tools are a catalogue by themselves: how rare a word is among them tells more than how rare it is among all, and
    costs little to know. So are tools that are not the turn's. The latest answer is kept.
    """

    def __init__(self) -> None:
        self._latest = Part((), (), None)

    def of(self, tools: Sequence[Tool], turn: Turn) -> Part:
        """The tools as a part of their catalogue."""
        latest = self._latest
        if tools is latest.tools and (turn.tools is latest.catalogue or latest.catalogue is tools):
            return latest
        whole = tuple(tools)
        if len(whole) < LARGE or len(turn.tools) <= len(whole):
            found = Part(whole, whole, None)
        else:
            where = {id(tool): position for position, tool in enumerate(turn.tools)}
            places = {where[id(tool)]: nth for nth, tool in enumerate(whole) if id(tool) in where}
            found = Part(whole, turn.tools, places) if len(places) == len(whole) else Part(whole, whole, None)
        self._latest = found
        return found


class Latest(Generic[T]):
    """The latest few things that were made, by what they were made of. Equal catalogues are one, whoever made the objects."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: list[tuple[Hashable, T]] = []

    def find(self, key: Hashable) -> T | None:
        """What is kept for the key; it becomes the latest. Comparing is quick: equal tools are mostly the same objects."""
        for nth, (kept, value) in enumerate(self._kept):
            if kept is key or kept == key:
                if nth:
                    self._kept.insert(0, self._kept.pop(nth))
                return value
        return None

    def keep(self, key: Hashable, value: T) -> T:
        """The value, kept; of too many the one that was asked for the longest ago goes."""
        self._kept = [(key, value), *self._kept[: self._size - 1]]
        return value

    def values(self) -> list[T]:
        """What is kept, the latest first."""
        return [value for _, value in self._kept]
