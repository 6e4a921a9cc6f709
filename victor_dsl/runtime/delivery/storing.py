"""Stores a batch of events; those that the exporter refuses are found by bisection, and the others are stored."""

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
"""After this many refusals in a row the cause is the store, not an event: the rest is not tried one by one."""


@frozen
class RefusedEvent:
    """An event that the exporter refuses for good, and why."""

    event: Event
    reason: str


async def store(exporter: Exporter, events: Sequence[Event]) -> list[RefusedEvent]:
    """Passes the events to the exporter; returns those that it refuses.

    Raises StoreError for a transient fault; all the events may then be stored again.
    """
    work = _Bisection(exporter)
    await work.store(events)
    return work.refused


@define
class _Bisection:
    exporter: Exporter
    refused: list[RefusedEvent] = field(factory=list)
    in_a_row: int = 0
    last: str = ""

    async def store(self, events: Sequence[Event]) -> None:
        if self.in_a_row >= REFUSALS:
            self.refused += [RefusedEvent(event, self.last) for event in events]
            return
        reason = await _reason_refused(self.exporter, events)
        if reason is None:
            self.in_a_row = 0
            return
        self.in_a_row += 1
        self.last = reason
        if len(events) == 1:
            self.refused.append(RefusedEvent(events[0], reason))
            return
        middle = len(events) // 2
        await self.store(events[:middle])
        await self.store(events[middle:])


async def _reason_refused(exporter: Exporter, events: Sequence[Event]) -> str | None:
    """Why the exporter refuses the events; None if it has stored them."""
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
            raise StoreError(f"the exporter exceeded its time limit of {EXPORT_SECONDS:g} s", transient=True) from error
        if isinstance(error, TimeoutError) or not isinstance(error, Exception):
            raise StoreError(f"the exporter failed: {describe(error)}", transient=True) from error
        return f"the exporter failed: {describe(error)}"  # a fault that these events bring out
    return None
