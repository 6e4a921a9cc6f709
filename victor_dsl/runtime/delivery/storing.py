"""Stores a batch as far as the exporter takes it: what is refused is found by bisection, and the rest is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from attrs import define, field, frozen

from victor_dsl.errors import StoreError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.kinds import Exporter
from victor_dsl.values.event import Event

EXPORT_SECONDS = 60.0
"""How long one call of an exporter may take."""
REFUSALS = 50
"""So many in a row, and it is the store that refuses, not an event: the rest is not tried one by one."""


@frozen
class Refusal:
    """An event that the exporter would refuse again, and why."""

    event: Event
    reason: str


async def store(exporter: Exporter, events: Sequence[Event]) -> list[Refusal]:
    """Hands the events to the exporter, and gives those that it refuses.

    Raises StoreError for a fault that may pass by itself; the same events may then be stored again, all of them.
    """
    work = _Bisection(exporter)
    await work.store(events)
    return work.refused


@define
class _Bisection:
    exporter: Exporter
    refused: list[Refusal] = field(factory=list)
    in_a_row: int = 0
    last: str = ""

    async def store(self, events: Sequence[Event]) -> None:
        if self.in_a_row >= REFUSALS:
            self.refused += [Refusal(event, self.last) for event in events]
            return
        reason = await _refusal(self.exporter, events)
        if reason is None:
            self.in_a_row = 0
            return
        self.in_a_row += 1
        self.last = reason
        if len(events) == 1:
            self.refused.append(Refusal(events[0], reason))
            return
        middle = len(events) // 2
        await self.store(events[:middle])
        await self.store(events[middle:])


async def _refusal(exporter: Exporter, events: Sequence[Event]) -> str | None:
    """Why the exporter refuses the events, None where it has stored them."""
    limit = asyncio.timeout(EXPORT_SECONDS)
    try:
        async with limit:
            await exporter.export(events)
    except StoreError as error:
        if error.transient:
            raise
        return str(error)
    except BaseException as error:
        if not is_fault(error):
            raise
        if isinstance(error, TimeoutError) and limit.expired():
            raise StoreError(f"no end within {EXPORT_SECONDS:g} s", transient=True) from error
        if isinstance(error, TimeoutError) or not isinstance(error, Exception):
            raise StoreError(f"the exporter failed: {describe(error)}", transient=True) from error
        return f"the exporter failed: {describe(error)}"  # a fault that these events bring out
    return None
