"""Events reach every exporter in batches; nothing that an exporter does touches a turn or another exporter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from tests.runtime.stage import Gate, HandClock, Spy, settle
from victor_dsl.errors import StoreError
from victor_dsl.graph.plan import Node
from victor_dsl.language.config import ExporterConfig
from victor_dsl.runtime import delivery as delivering
from victor_dsl.runtime.delivery import Delivery, dead_letters
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.queue import CLOSING_ATTEMPTS, ExporterQueue
from victor_dsl.runtime.delivery.storing import REFUSALS, RefusedEvent
from victor_dsl.source.located import Span
from victor_dsl.values.event import Event


def event(number: int) -> Event:
    return Event(f"e{number}", "turn", 0.0, "s", None, "p", "", {}, {})


class Bench:
    """Queues over one hand-moved clock, their dead letters, and what they report."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.reports: list[tuple[str, str]] = []
        self.letters = DeadLetters(folder / ".victor")

    def queue(self, exporter: Any, name: str = "x", **config: Any) -> ExporterQueue:
        node = Node(f"exporters/{name}", name, ExporterConfig(**config), (), Span("v.yml", 1, 1, 1, 1), "f")
        return ExporterQueue(
            node, exporter, letters=self.letters, clock=self.clock, random=Random(1), report=self.report
        )

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


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.letters.close()


async def letters(bench: Bench) -> list[tuple[str, str]]:
    return [(letter.event.id, letter.reason) for letter in await bench.letters.read()]


def opened(*queues: ExporterQueue) -> Delivery:
    delivery = Delivery(queues)
    delivery.open()
    return delivery


async def test_recipe_3_batch_size_is_honoured_a_full_batch_goes_at_once_and_the_rest_when_its_time_is_over(
    bench: Bench,
) -> None:
    exporter = Batches()
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


async def test_a_batch_that_fills_while_the_first_events_wait_goes_at_once(bench: Bench) -> None:
    exporter = Batches()
    delivery = opened(bench.queue(exporter, batch_size=2))
    delivery.put(event(1))
    await settle()
    assert exporter.sizes == []
    delivery.put(event(2))
    await settle()
    assert exporter.sizes == [2]
    await delivery.close()


async def test_recipe_3_an_immediate_close_delivers_all_5000_events_in_order(bench: Bench) -> None:
    exporter = Batches()
    delivery = opened(bench.queue(exporter, batch_size=100))
    for number in range(5_000):
        delivery.put(event(number))
    assert await delivery.close() == {}
    assert [e.id for e in exporter.events] == [f"e{n}" for n in range(5_000)]


async def test_closing_without_any_event_exports_nothing(bench: Bench) -> None:
    exporter = Batches()
    assert await opened(bench.queue(exporter)).close() == {}
    assert exporter.sizes == []


async def test_a_full_queue_drops_the_oldest_and_counts_them(bench: Bench) -> None:
    exporter, gate = Batches(), Gate()

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


async def test_a_store_that_fails_for_a_while_loses_nothing(bench: Bench) -> None:
    exporter = Fails(9, StoreError("locked", transient=True))
    queue = bench.queue(exporter, batch_size=1)
    delivery = opened(queue)
    delivery.put(event(1))
    await settle()
    assert queue.status().fault == "locked"
    for _ in range(10):
        await settle()
        bench.clock.move(20)
    await settle()
    assert [e.id for e in exporter.events] == ["e1"]
    assert queue.status().as_json() | {"lag_s": 0} == {
        "exporter": "exporters/x",
        "waiting": 0,
        "lag_s": 0,
        "delivered": 1,
        "retries": 9,
        "put_aside": 0,
        "dropped": 0,
        "fault": None,
    }
    assert await delivery.close() == {}
    assert set(bench.reports) == {("exporters/x", "events could not be stored: locked")}


async def test_a_store_that_stays_away_gets_its_events_from_the_dead_letters(bench: Bench) -> None:
    exporter = Fails(1_000, StoreError("gone", transient=True))
    delivery = opened(bench.queue(exporter, batch_size=1, retry_seconds=60))
    delivery.put(event(1))
    for _ in range(10):
        await settle()
        bench.clock.move(20)
    while not await letters(bench):  # the file is written by a thread
        await settle()
    assert await letters(bench) == [("e1", "gone")]
    exporter.left = 0
    delivery.put(event(2))
    await settle()
    assert [e.id for e in exporter.events] == ["e2"]
    assert await delivery.close() == {}


async def test_pauses_grow_and_stay_bounded(bench: Bench) -> None:
    exporter = Fails(99, StoreError("gone", transient=True))
    delivery = opened(bench.queue(exporter, batch_size=1))
    delivery.put(event(1))
    pauses = []
    for _ in range(12):
        await settle()
        pauses.append(bench.clock.sleepers[-1][0] - bench.clock.time)
        bench.clock.move(20)
    assert all(0.125 <= pause <= 10.125 for pause in pauses)
    assert max(pauses[:3]) < 1.2 < max(pauses[5:])
    assert len(set(pauses)) == len(pauses)
    exporter.left = 0
    await settle()
    await delivery.close()


@pytest.mark.parametrize("error", [StoreError("bad row"), TypeError("bad row")])
@pytest.mark.parametrize("at", range(7))
async def test_recipe_3_one_bad_row_does_not_fail_the_batch(bench: Bench, at: int, error: Exception) -> None:
    class Picky(Batches):
        async def export(self, events: Sequence[Event]) -> None:
            if any(event.id == f"e{at}" for event in events):
                raise error
            await super().export(events)

    exporter = Picky()
    delivery = opened(bench.queue(exporter, batch_size=7))
    for number in range(7):
        delivery.put(event(number))
    assert await delivery.close() == {}
    assert [e.id for e in exporter.events] == [f"e{n}" for n in range(7) if n != at]
    reason = "bad row" if isinstance(error, StoreError) else "the exporter failed: TypeError: bad row"
    assert await letters(bench) == [(f"e{at}", reason)]


async def test_a_store_that_refuses_everything_is_not_asked_for_each_event(bench: Bench) -> None:
    exporter = Fails(10_000, StoreError("no such table"))
    delivery = opened(bench.queue(exporter, batch_size=1_000))
    for number in range(1_000):
        delivery.put(event(number))
    assert await delivery.close() == {}
    assert exporter.tries == REFUSALS
    assert len(await bench.letters.read(most=2_000)) == 1_000


async def test_what_is_away_at_the_end_is_put_aside_with_the_reason(bench: Bench) -> None:
    exporter = Fails(1_000, StoreError("gone", transient=True))
    queue = bench.queue(exporter, batch_size=2)
    delivery = opened(queue)
    for number in range(5):
        delivery.put(event(number))
    closing = asyncio.create_task(delivery.close())
    while not closing.done():
        await settle()
        bench.clock.move(20)
    assert closing.result() == {}
    assert await letters(bench) == [(f"e{n}", "gone") for n in range(5)]
    assert queue.status().put_aside == 5
    assert exporter.tries == 3 * CLOSING_ATTEMPTS


async def test_a_queue_goes_on_after_an_error_that_nobody_foresaw(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, fails = bench.letters.put, [asyncio.CancelledError(), ZeroDivisionError("a bug")]

    async def put_or_fail(*arguments: Any) -> None:
        if fails:
            raise fails.pop()
        await put(*arguments)

    monkeypatch.setattr(bench.letters, "put", put_or_fail)
    queue = bench.queue(Fails(1_000, StoreError("bad row")), batch_size=2)
    delivery = opened(queue)
    for number in range(6):
        delivery.put(event(number))
    await settle()
    assert "internal error" in (queue.status().fault or "")
    for _ in range(10):
        bench.clock.move(20)
        await settle()
    assert await delivery.close() == {}
    assert await letters(bench) == [(f"e{n}", "bad row") for n in range(6)]
    assert queue.put_aside == 6


async def test_closing_does_not_wait_for_a_faulty_exporter_again_to_give_it_reports(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports are events for all exporters; here one is made when a stuck exporter's events are put aside."""
    monkeypatch.setattr(delivering, "FLUSH_SECONDS", 0.1)
    reported = iter(range(100, 200))

    def report(node: str, message: str, data: Mapping[str, Any]) -> None:
        if (node, message) not in bench.reports:
            bench.reports.append((node, message))
            delivery.put(event(next(reported)))

    class Stuck:
        async def export(self, events: Sequence[Event]) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr(bench, "report", report)
    faulty, working = Fails(1_000, StoreError("gone", transient=True)), Batches()
    delivery = opened(bench.queue(Stuck(), "stuck"), bench.queue(faulty, "faulty"), bench.queue(working, "working"))
    delivery.put(event(1))
    closing = asyncio.create_task(delivery.close())
    while not closing.done():
        await settle()
        bench.clock.move(20)
    assert closing.result() == {}
    assert faulty.tries == 2 * CLOSING_ATTEMPTS, "for the event and the first reports, but not for the last report"
    late = f"e{100 + [node for node, _ in bench.reports].index('exporters/stuck')}"
    assert late in {e.id for e in working.events}
    for exporter in ("exporters/faulty", "exporters/stuck"):
        aside = {letter.event.id for letter in await bench.letters.read(exporter=exporter)}
        assert {"e1", late, f"e{99 + len(bench.reports)}"} <= aside
    assert [queue.waiting for queue in delivery.queues] == [0, 0, 0]


async def test_an_exporter_that_cannot_watch_gets_its_events_all_the_same(bench: Bench) -> None:
    class Watches(Batches):
        def watch(self, statuses: Any) -> None:
            raise SystemExit(7)

    exporter = Watches()
    delivery = opened(bench.queue(exporter))
    delivery.put(event(1))
    assert await delivery.close() == {}
    assert [e.id for e in exporter.events] == ["e1"]


async def test_a_replaced_letter_is_one_letter_with_the_newer_reason(bench: Bench) -> None:
    await bench.letters.put("exporters/x", [RefusedEvent(event(1), "first")], 1.0)
    await bench.letters.put("exporters/x", [RefusedEvent(event(1), "second")], 2.0)
    await bench.letters.put("exporters/y", [RefusedEvent(event(1), "other")], 2.0)
    assert [(one.exporter, one.reason) for one in await bench.letters.read()] == [
        ("exporters/x", "second"),
        ("exporters/y", "other"),
    ]


async def test_a_letter_holds_any_event_as_it_was(bench: Bench) -> None:
    odd = evolve(event(1), timestamp=1_700_000_000.123456, data={"a": "\0\ud800", "b": 2**70, "c": [1, {"d": None}]})
    await bench.letters.put("exporters/x", [RefusedEvent(odd, "why \ud800")], 1.0)
    (letter,) = await bench.letters.read()
    assert letter.event == odd
    deep: dict[str, Any] = {}
    for _ in range(20_000):
        deep = {"a": deep}
    await bench.letters.put("exporters/x", [RefusedEvent(evolve(event(2), data=deep), "deep")], 1.0)
    assert "omitted" in (await bench.letters.read(after=letter.number))[0].event.data


async def test_letters_that_are_full_refuse_more_and_that_is_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MOST_PAGES", 60)
    delivery = opened(bench.queue(Fails(10_000, StoreError("no such table")), batch_size=100))
    for number in range(1_000):
        delivery.put(evolve(event(number), data={"text": "x" * 100}))
    lost = (await delivery.close())["exporters/x"]
    kept = await bench.letters.read(most=2_000)
    assert 0 < len(kept) < 1_000
    assert len(kept) + lost == 1_000
    assert any("were dropped: delivery and the dead letters both failed" in message for _, message in bench.reports)


async def test_an_exporter_that_watches_is_told_how_all_stand(bench: Bench) -> None:
    class Watches(Batches):
        statuses: Any = None

        def watch(self, statuses: Any) -> None:
            self.statuses = statuses

    watching = Watches()
    delivery = opened(bench.queue(Batches(), "a"), bench.queue(watching, "b"))
    delivery.put(event(1))
    assert [(one["exporter"], one["waiting"]) for one in watching.statuses()] == [
        ("exporters/a", 1),
        ("exporters/b", 1),
    ]
    await delivery.close()
    assert [one["delivered"] for one in watching.statuses()] == [1, 1]


async def test_a_dead_exporter_holds_up_no_other(bench: Bench) -> None:
    good, gate = Batches(), Gate()

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


async def test_closing_gives_a_dead_exporter_up_and_puts_its_events_aside(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "FLUSH_SECONDS", 0.001)

    class Stuck:
        async def export(self, events: Sequence[Event]) -> None:
            await asyncio.Event().wait()

    delivery = opened(bench.queue(Stuck(), batch_size=2))
    for number in range(5):
        delivery.put(event(number))
    assert await delivery.close() == {}
    assert await letters(bench) == [(f"e{n}", "not delivered before the end: out of time") for n in range(5)]
