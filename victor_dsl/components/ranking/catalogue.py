"""Catalogues of tools: which one the tools at hand belong to, and what was made of the latest ones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import frozen

from victor_dsl.language.off_loop import OffLoop
from victor_dsl.lazy import Lazy
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

T = TypeVar("T")

LARGE = 200
"""From this many tools on, indexing takes tens of milliseconds and megabytes, so it is done off the event loop."""

SMALL_REMEMBERED, LARGE_REMEMBERED = 64, 4
"""Most specs have one catalogue; requests' own tools, tenants' limits and earlier strategies make further ones."""


@frozen(eq=False)
class Part:
    """The tools at hand, and the catalogue that they are a part of.

    `places` maps positions in the catalogue to positions in `tools`; None means that the two are equal.
    """

    tools: tuple[Tool, ...]
    catalogue: tuple[Tool, ...]
    places: Mapping[int, int] | None


class Parts:
    """Finds the catalogue of the tools at hand: all tools of the turn, of which tenants' limits and earlier strategies leave a part.

    Few tools are a catalogue by themselves: how rare a word is among them is a better measure than how rare it is among all,
    and is quickly counted. So are tools that are not the turn's. The latest result is cached.
    """

    def __init__(self) -> None:
        self._latest = Part((), (), None)

    def of(self, tools: Sequence[Tool], turn: Turn) -> Part:
        """The tools as a part of their catalogue."""
        latest = self._latest
        if tools is latest.tools and (turn.tools is latest.catalogue or latest.catalogue is tools):
            return latest
        self._latest = found = _part(tuple(tools), turn.tools)
        return found


class Latest(Generic[T]):
    """A small cache whose least recently used entry goes first. Its keys are catalogues: equal ones are one entry."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: list[tuple[Hashable, T]] = []

    def get(self, key: Hashable) -> T | None:
        """The value of the key, which becomes the most recently used. Equal tools are mostly the same objects: quick."""
        for nth, (entry, value) in enumerate(self._entries):
            if entry is key or entry == key:
                if nth:
                    self._entries.insert(0, self._entries.pop(nth))
                return value
        return None

    def put(self, key: Hashable, value: T) -> T:
        """The value, now in the cache."""
        self._entries = [(key, value), *self._entries[: self._size - 1]]
        return value

    def values(self) -> list[T]:
        """The cached values, the most recently used first."""
        return [value for _, value in self._entries]


class PerCatalogue(Generic[T]):
    """Makes one thing of each catalogue, once; of a large one off the event loop, even if several turns wait for it."""

    def __init__(self, make: Callable[[tuple[Tool, ...]], T]) -> None:
        self._make = make
        self._small: Latest[T] = Latest(SMALL_REMEMBERED)
        self._large: Latest[T] = Latest(LARGE_REMEMBERED)
        self._making = asyncio.Lock()
        self._off_loop = OffLoop()

    async def of(self, tools: tuple[Tool, ...]) -> T:
        """The cached index of the catalogue."""
        if len(tools) < LARGE:
            return self._small.get(tools) or self._small.put(tools, self._make(tools))
        found = self._large.get(tools)
        if found is None:
            async with self._making:
                found = self._large.get(tools)
                if found is None:
                    found = self._large.put(tools, await self._off_loop.run(self._make, tools))
        return found


def _part(tools: tuple[Tool, ...], catalogue: tuple[Tool, ...]) -> Part:
    if len(tools) < LARGE or len(catalogue) <= len(tools):
        return Part(tools, tools, None)
    where = {id(tool): position for position, tool in enumerate(catalogue)}
    places = {where[id(tool)]: nth for nth, tool in enumerate(tools) if id(tool) in where}
    return Part(tools, catalogue, places) if len(places) == len(tools) else Part(tools, tools, None)
