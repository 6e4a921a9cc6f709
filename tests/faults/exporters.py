"""Whether exporters that misbehave cost events: they raise, hang, return late, or die with what they have stored.

    python -m tests.faults.exporters --times 200

A store keeps one event for each id, as databases do. Each misbehaves before or after it has stored a batch, at random. At the
end the journal is closed, and what is left is delivered to one that works, as at the next start.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults._counting import Outcome, command, event, outcome
from victor_dsl.errors import StoreError
from victor_dsl.graph.plan import JournalPolicy, Node
from victor_dsl.language.config import ExporterConfig
from victor_dsl.runtime import delivery as delivering
from victor_dsl.runtime.delivery import Delivery, storing
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.journal import Journal
from victor_dsl.runtime.delivery.queue import ExporterQueue
from victor_dsl.runtime.nodes import SystemClock
from victor_dsl.source.located import Span
from victor_dsl.values.event import Event

HANG_SECONDS = 0.02
"""After how long a call of an exporter is ended here."""


class Hurried(SystemClock):
    """The machine's clock, whose sleepers wake at once."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Store:
    """Keeps events by id, and misbehaves in one call of three."""

    def __init__(self, kept: dict[str, Event], fault: Callable[[], Awaitable[None]], chance: random.Random) -> None:
        self.kept = kept
        self.fault = fault
        self.chance = chance
        self.late: list[asyncio.Task[None]] = []

    async def export(self, events: Sequence[Event]) -> None:
        if self.chance.random() < 1 / 3:
            if self.chance.random() < 0.5:
                self._keep(events)
            await self.fault()
        self._keep(events)

    def _keep(self, events: Sequence[Event]) -> None:
        self.kept.update((one.id, one) for one in events)


async def _nothing() -> None:
    return None


async def _cancelled() -> None:
    raise asyncio.CancelledError


async def _away() -> None:
    raise StoreError("away", transient=True)


async def _exits() -> None:
    raise SystemExit(3)


async def _hangs() -> None:
    await asyncio.Event().wait()


async def _late() -> None:
    try:
        await asyncio.sleep(2 * HANG_SECONDS)
    except asyncio.CancelledError:
        await asyncio.sleep(HANG_SECONDS)  # and then it returns as if nothing were amiss


FAULTS = {
    "raises CancelledError": _cancelled,
    "raises SystemExit": _exits,
    "is away": _away,
    "hangs": _hangs,
    "returns late": _late,
}


def run(times: int, folder: Path, chance: random.Random) -> Mapping[str, Outcome]:
    """Delivers so many batches to each."""
    seconds, storing.EXPORT_SECONDS = storing.EXPORT_SECONDS, HANG_SECONDS
    flush, delivering.FLUSH_SECONDS = delivering.FLUSH_SECONDS, 0.2
    try:
        return {
            f"exporter: {name}": asyncio.run(_run(times, folder / name.split()[-1], fault, chance))
            for name, fault in FAULTS.items()
        }
    finally:
        storing.EXPORT_SECONDS, delivering.FLUSH_SECONDS = seconds, flush


async def _run(times: int, folder: Path, fault: Callable[[], Awaitable[None]], chance: random.Random) -> Outcome:
    kept: dict[str, Event] = {}
    written = [f"x-{number}" for number in range(10 * times)]
    letters = DeadLetters(folder / ".victor")
    delivery = await _delivery(folder, letters, Store(kept, fault, chance))
    for place, id in enumerate(written):
        delivery.put(event(id))
        if place % 7 == 0:
            await asyncio.sleep(0)
    await delivery.close()
    await (await _delivery(folder, letters, Store(kept, _nothing, chance))).close()
    aside = [letter.event.id for letter in await letters.read(most=len(written))]
    await letters.close()
    return outcome(written, [id for id in kept if id.startswith("x-")], [id for id in aside if id not in kept])


async def _delivery(folder: Path, letters: DeadLetters, exporter: Store) -> Delivery:
    clock = Hurried()
    journal = Journal(folder / "journal", JournalPolicy(), clock)
    node = Node("exporters/x", "x", ExporterConfig(batch_size=10), (), Span("v.yml", 1, 1, 1, 1), "f")
    delivery: Delivery | None = None

    def moved() -> None:
        if delivery is not None:
            delivery.moved()

    queue = ExporterQueue(
        node,
        exporter,
        letters=letters,
        clock=clock,
        random=random.Random(1),
        report=_unreported,
        feed=journal.feed(node.id),
        moved=moved,
    )
    delivery = Delivery([queue])
    delivery.open()
    await delivery.use(journal)
    return delivery


def _unreported(node: str, message: str, data: Mapping[str, Any]) -> None:
    """What delivery reports."""


if __name__ == "__main__":
    command(__doc__, run, 200)
