"""Events reach every exporter in batches; nothing that an exporter does touches a turn or another exporter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest

from tests.runtime.stage import Gate, HandClock, Spy, settle
from victor_dsl.errors import StoreError
from victor_dsl.graph.plan import Node
from victor_dsl.language.config import ExporterConfig
from victor_dsl.runtime import delivery as delivering
from victor_dsl.runtime.delivery import Delivery
from victor_dsl.runtime.delivery.queue import ATTEMPTS, ExporterQueue
from victor_dsl.source.located import Span
from victor_dsl.values.event import Event


def event(number: int) -> Event:
    return Event(f"e{number}", "turn", 0.0, "s", None, "p", "", {}, {})


class Bench:
    """Queues over one hand-moved clock, and what they report."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.reports: list[tuple[str, str]] = []

    def queue(self, exporter: Any, name: str = "x", **config: Any) -> ExporterQueue:
        node = Node(f"exporters/{name}", name, ExporterConfig(**config), (), Span("v.yml", 1, 1, 1, 1), "f")
        return ExporterQueue(node, exporter, clock=self.clock, random=Random(1), report=self.report)

    def report(self, node: str, message: str, data: Mapping[str, Any]) -> None:
        self.reports.append((node, message))


class Batches(Spy):
    """Keeps the sizes of its batches as well."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def export(self, events: Sequence[Event]) -> None:
        self.sizes.append(len(events))
        await super().export(events)


class Fails:
    """Fails so many times, with one error."""

    def __init__(self, times: int, error: Exception) -> None:
        self.left = times
        self.error = error
        self.tries = 0
        self.events: list[Event] = []

    async def export(self, events: Sequence[Event]) -> None:
        self.tries += 1
        if self.left:
            self.left -= 1
            raise self.error
        self.events += events


def opened(*queues: ExporterQueue) -> Delivery:
    delivery = Delivery(queues)
    delivery.open()
    return delivery


async def test_a_full_batch_goes_at_once_and_the_rest_when_its_time_is_over() -> None:
    bench, exporter = Bench(), Batches()
    delivery = opened(bench.queue(exporter, batch_size=3, flush_seconds=2))
    for number in range(7):
        delivery.put(event(number))
    await settle()
    assert exporter.sizes == [3, 3]
    bench.clock.move(1)
    await settle()
    assert exporter.sizes == [3, 3]
    bench.clock.move(1)
    await settle()
    assert exporter.sizes == [3, 3, 1]
    assert await delivery.close() == {}


async def test_a_batch_that_fills_while_the_first_events_wait_goes_at_once() -> None:
    bench, exporter = Bench(), Batches()
    delivery = opened(bench.queue(exporter, batch_size=2))
    delivery.put(event(1))
    await settle()
    assert exporter.sizes == []
    delivery.put(event(2))
    await settle()
    assert exporter.sizes == [2]
    await delivery.close()


async def test_an_immediate_close_delivers_everything_in_order() -> None:
    bench, exporter = Bench(), Batches()
    delivery = opened(bench.queue(exporter, batch_size=100))
    for number in range(5_000):
        delivery.put(event(number))
    assert await delivery.close() == {}
    assert [e.id for e in exporter.events] == [f"e{n}" for n in range(5_000)]


async def test_closing_without_any_event_exports_nothing() -> None:
    bench, exporter = Bench(), Batches()
    assert await opened(bench.queue(exporter)).close() == {}
    assert exporter.sizes == []


async def test_a_full_queue_drops_the_oldest_and_counts_them() -> None:
    bench, exporter, gate = Bench(), Batches(), Gate()

    class Slow(Batches):
        async def export(self, events: Sequence[Event]) -> None:
            await gate.pass_through()
            await exporter.export(events)

    delivery = opened(bench.queue(Slow(), batch_size=2, queue_size=4))
    delivery.put(event(0))
    delivery.put(event(1))
    await gate.reached.wait()
    for number in range(2, 10):
        delivery.put(event(number))
    gate.opened.set()
    assert await delivery.close() == {"exporters/x": 4}
    assert [e.id for e in exporter.events] == ["e0", "e1", "e6", "e7", "e8", "e9"]
    assert set(bench.reports) == {("exporters/x", "the queue of 4 events is full; the oldest are dropped")}


async def test_a_store_that_fails_for_a_while_loses_nothing() -> None:
    bench, exporter = Bench(), Fails(ATTEMPTS - 1, StoreError("locked"))
    delivery = opened(bench.queue(exporter, batch_size=1))
    delivery.put(event(1))
    for _ in range(ATTEMPTS):
        await settle()
        bench.clock.move(20)
    await settle()
    assert [e.id for e in exporter.events] == ["e1"]
    assert await delivery.close() == {}
    assert set(bench.reports) == {("exporters/x", "events are not stored yet: locked")}


async def test_a_store_that_fails_for_good_loses_the_batch_and_says_so() -> None:
    bench, exporter = Bench(), Fails(ATTEMPTS, StoreError("gone"))
    delivery = opened(bench.queue(exporter, batch_size=1))
    delivery.put(event(1))
    for _ in range(ATTEMPTS):
        await settle()
        bench.clock.move(20)
    delivery.put(event(2))
    await settle()
    assert [e.id for e in exporter.events] == ["e2"]
    assert await delivery.close() == {"exporters/x": 1}
    assert ("exporters/x", f"{ATTEMPTS} attempts to store events failed; they are dropped") in bench.reports


async def test_pauses_grow_and_stay_bounded() -> None:
    bench, exporter = Bench(), Fails(99, StoreError("gone"))
    delivery = opened(bench.queue(exporter, batch_size=1))
    delivery.put(event(1))
    pauses = []
    for _ in range(ATTEMPTS - 1):
        await settle()
        pauses.append(bench.clock.sleepers[-1][0] - bench.clock.time)
        bench.clock.move(20)
    assert all(0.125 <= pause <= 10.125 for pause in pauses)
    assert len(set(pauses)) == len(pauses)
    await settle()
    await delivery.close()


async def test_an_exporter_with_a_fault_of_its_own_is_not_tried_again() -> None:
    bench, exporter = Bench(), Fails(1, TypeError("bad row"))
    delivery = opened(bench.queue(exporter, batch_size=1))
    delivery.put(event(1))
    await settle()
    delivery.put(event(2))
    await settle()
    assert [e.id for e in exporter.events] == ["e2"]
    assert await delivery.close() == {"exporters/x": 1}
    assert bench.reports == [("exporters/x", "the exporter failed: TypeError: bad row")]


async def test_a_dead_exporter_holds_up_no_other() -> None:
    bench, good, gate = Bench(), Batches(), Gate()

    class Stuck:
        async def export(self, events: Sequence[Event]) -> None:
            await gate.pass_through()

    delivery = opened(bench.queue(Stuck(), "stuck", batch_size=1), bench.queue(good, "good", batch_size=1))
    for number in range(50):
        delivery.put(event(number))
    for _ in range(10):
        await settle()
    assert len(good.events) == 50
    gate.opened.set()
    assert await delivery.close() == {}


async def test_closing_gives_a_dead_exporter_up_and_counts_what_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "FLUSH_SECONDS", 0.001)
    bench = Bench()

    class Stuck:
        async def export(self, events: Sequence[Event]) -> None:
            await asyncio.Event().wait()

    delivery = opened(bench.queue(Stuck(), batch_size=2))
    for number in range(5):
        delivery.put(event(number))
    assert await delivery.close() == {"exporters/x": 5}
