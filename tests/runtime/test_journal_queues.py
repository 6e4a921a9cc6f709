"""Exporters are served from the journal: what memory does not hold, what comes and goes by a reload, what other processes have left."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import victor_dsl
from tests.runtime.stage import Gate, Spy
from victor_dsl.errors import StoreError
from victor_dsl.graph.plan import JournalPolicy, Node
from victor_dsl.language.config import ExporterConfig
from victor_dsl.runtime import delivery as delivering
from victor_dsl.runtime.delivery import Delivery, left_folders
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.feed import Feed
from victor_dsl.runtime.delivery.journal import Journal
from victor_dsl.runtime.delivery.journal_records import TurnStart, decoded, encoded
from victor_dsl.runtime.delivery.left_folders import adopt
from victor_dsl.runtime.delivery.queue import ExporterQueue
from victor_dsl.runtime.nodes import SystemClock
from victor_dsl.source.located import Span
from victor_dsl.storage.journal import Cursor, Disk, trim
from victor_dsl.storage.journal.folders import all_folders
from victor_dsl.values.event import Event


def event(number: int, type: Any = "error", data: Any = None) -> Event:
    return Event(f"e{number}", type, float(number), "s", None, "p", "", {}, data or {})


def start(number: int) -> TurnStart:
    return TurnStart(f"e{number}", f"t{number}", 0.0, "s", None, "p", resumable=False)


class Slow(Spy):
    """Waits at a gate before it takes a batch."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate

    async def export(self, events: Sequence[Event]) -> None:
        await self.gate.pass_through()
        await super().export(events)


class Stepwise(Spy):
    """Takes a batch for each release of `steps`; `begun` has the ids of the one that it was given last."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = asyncio.Semaphore(0)
        self.begun: list[str] = []

    async def export(self, events: Sequence[Event]) -> None:
        self.begun = [one.id for one in events]
        await self.steps.acquire()
        await super().export(events)


class Broken(Disk):
    """A disk whose writes fail while it is told so."""

    fails = False

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        super().write(descriptor, data, offset)


class Bench:
    """Queues on one journal, and what they report."""

    def __init__(self, folder: Path, policy: JournalPolicy | None = None, disk: Disk | None = None) -> None:
        self.root = folder / "journal"
        self.journal = Journal(self.root, policy or JournalPolicy(), SystemClock(), disk)
        self.letters = DeadLetters(folder / ".victor")
        self.reports: list[str] = []
        self.delivery: Delivery | None = None

    def queue(self, exporter: Any, name: str = "x", *, journalled: bool = True, **config: Any) -> ExporterQueue:
        settings = ExporterConfig(**{"flush_seconds": 0.01, **config})
        node = Node(f"exporters/{name}", name, settings, (), Span("v.yml", 1, 1, 1, 1), "f")
        return ExporterQueue(
            node,
            exporter,
            letters=self.letters,
            clock=SystemClock(),
            random=Random(1),
            report=self.report,
            feed=self.journal.feed(node.id) if journalled else None,
            moved=lambda: self.delivery.moved() if self.delivery is not None else None,
        )

    async def open(self, *queues: ExporterQueue) -> Delivery:
        self.delivery = Delivery(queues, report=self.report)
        self.delivery.open()
        await self.delivery.use(self.journal)
        return self.delivery

    def report(self, node: str, message: str, data: Mapping[str, Any]) -> None:
        self.reports.append(message)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    if bench.delivery is not None:
        await bench.delivery.close()
    else:
        await bench.journal.close()
    await bench.letters.close()


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def ids(spy: Spy) -> list[str]:
    return [one.id for one in spy.events]


def named(*numbers: int) -> list[str]:
    return [f"e{number}" for number in numbers]


async def test_events_that_are_in_no_journal_push_none_out_that_are_in_it(bench: Bench) -> None:
    gate = Gate()
    exporter = Slow(gate)
    delivery = await bench.open(bench.queue(exporter, batch_size=2, queue_size=5))
    for number in range(20):
        delivery.put(event(number))
    await gate.reached.wait()
    for number in range(100, 120):
        delivery.put_in_memory(event(number))
    gate.opened.set()
    assert await delivery.close() == {"exporters/x": 15}
    assert sorted(ids(exporter)) == sorted(named(*range(20), *range(100, 105)))


async def test_a_turn_whose_end_cannot_be_written_does_not_keep_the_journal(tmp_path: Path) -> None:
    disk = Broken()
    bench = Bench(tmp_path, disk=disk)
    exporter = Spy()
    delivery = await bench.open(bench.queue(exporter))
    delivery.begin(start(1))
    delivery.flush()
    disk.fails = True
    delivery.put(event(1, "turn"))
    delivery.flush()
    disk.fails = False
    await delivery.close()
    assert ids(exporter) == ["e1"]
    assert all_folders(bench.root) == []
    await bench.letters.close()


async def test_a_queue_goes_on_behind_a_stretch_of_the_journal_that_is_gone(bench: Bench) -> None:
    gate = Gate()
    exporter = Slow(gate)
    delivery = await bench.open(bench.queue(exporter, batch_size=2, queue_size=2))
    for number in range(9):
        delivery.put(event(number))
        delivery.flush()
    await gate.reached.wait()
    (segment,) = (path for path in bench.root.rglob("*.log") if path.read_bytes()[:1] != b"\0")
    os.truncate(segment, segment.read_bytes().index(b'"e6"'))
    gate.opened.set()
    assert await delivery.close() == {}
    assert ids(exporter) == named(*range(6))
    assert any("damaged" in message for message in bench.reports)


async def test_events_of_one_moment_are_parted_where_a_batch_ends(bench: Bench) -> None:
    feed = bench.journal.feed("exporters/x")
    for number in range(0, 100, 10):
        bench.journal.append([event(number + place) for place in range(10)])
    events, position = await feed.read(15)
    assert [one.id for one in events] == named(*range(15))
    feed.move(position)
    feed.cursor.close()
    again = Feed(feed.cursor.path.parent, Cursor(feed.cursor.path.parent, "exporters/x"), live=True)
    events, _ = await again.read(1_000)
    assert [one.id for one in events] == named(*range(15, 100))
    again.cursor.close()


@pytest.mark.parametrize("queue_size", [2, 100], ids=["from the journal", "from memory"])
async def test_an_exporter_that_takes_another_s_place_leaves_it_its_batch(bench: Bench, queue_size: int) -> None:
    old, new = Stepwise(), Spy()
    queue = bench.queue(old, batch_size=2, queue_size=queue_size)
    delivery = await bench.open(queue)
    for number in range(9):
        delivery.put(event(number))
    old.steps.release()
    await until(lambda: old.begun == named(2, 3))
    leaving = delivery.replace([bench.queue(new, batch_size=2)])
    await until(lambda: len(new.events) == 5)
    (feed,) = bench.journal._feeds.values()
    assert feed.cursor.position < feed.position
    old.steps.release()
    await leaving.close()
    assert feed.cursor.position == feed.position
    await delivery.close()
    assert (ids(old), ids(new)) == (named(0, 1, 2, 3), named(4, 5, 6, 7, 8))


async def test_an_exporter_replaced_while_it_reads_the_journal_leaves_the_rest_to_the_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    old, new = Slow(gate), Spy()
    queue = bench.queue(old, batch_size=2, queue_size=2)
    delivery = await bench.open(queue)
    feed, reading, go_on = bench.journal.feed("exporters/x"), threading.Event(), threading.Event()
    read = feed._read

    def slowly(*arguments: Any) -> Any:
        monkeypatch.undo()
        reading.set()
        go_on.wait(30)
        return read(*arguments)

    for number in range(9):
        delivery.put(event(number))
    await gate.reached.wait()
    monkeypatch.setattr(feed, "_read", slowly)
    gate.opened.set()
    await asyncio.to_thread(reading.wait, 30)
    leaving = delivery.replace([bench.queue(new, batch_size=2)])
    go_on.set()
    await leaving.close()
    await delivery.close()
    assert sorted([*ids(old), *ids(new)]) == named(*range(9))


async def test_an_exporter_that_comes_back_at_once_keeps_its_place_in_the_journal(bench: Bench) -> None:
    gate = Gate()
    delivery = await bench.open(bench.queue(Slow(gate), batch_size=1))
    delivery.put(event(0))
    await gate.reached.wait()
    gone = delivery.replace([])
    back = Spy()
    changed = delivery.replace([bench.queue(back)])
    gate.opened.set()
    await changed.close()
    await gone.close()
    delivery.put(event(1))
    delivery.flush()
    feed = bench.journal.feed("exporters/x")
    await until(lambda: feed.cursor.position == bench.journal.position)
    await delivery.close()
    assert ids(back) == ["e1"]


async def test_a_journal_that_comes_later_serves_the_exporters_that_are_there(bench: Bench) -> None:
    gate = Gate()
    exporter = Slow(gate)
    queue = bench.queue(exporter, journalled=False, batch_size=1, queue_size=3)
    delivery = await bench.open(queue)
    queue.use(bench.journal.feed(queue.node))
    for number in range(20):
        delivery.put(event(number))
    gate.opened.set()
    assert await delivery.close() == {}
    assert ids(exporter) == named(*range(20))


async def test_dropped_events_are_those_that_no_exporter_gets(tmp_path: Path) -> None:
    bench = Bench(tmp_path, JournalPolicy(when_full="drop_oldest", max_mb=4))
    gate = Gate()
    exporter = Slow(gate)
    queue = bench.queue(exporter, batch_size=100, queue_size=1_500)
    delivery = await bench.open(queue)
    for number in range(6_000):
        delivery.put(event(number, data={"text": "x" * 1_000}))
        delivery.flush()
    assert bench.journal.is_full
    await delivery.wait_for_room()
    assert bench.journal.size <= 4 << 20
    gate.opened.set()
    (lost,) = (await delivery.close()).values()
    assert lost > 0
    assert len(exporter.events) == len(set(ids(exporter))) == 6_000 - lost
    await bench.letters.close()


async def test_only_so_many_folders_are_adopted_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        dead = Bench(tmp_path)
        dead.journal.feed("exporters/x")
        dead.journal.append([event(number)])
        await dead.journal.close()
    assert sum(path.stat().st_size for path in (tmp_path / "journal").rglob("*.log")) < 9_000
    monkeypatch.setattr(delivering, "MOST_LEFT", 4)
    monkeypatch.setattr(delivering, "ADOPT_SECONDS", 0.01)
    bench = Bench(tmp_path)
    exporter = Spy()
    delivery = await bench.open(bench.queue(exporter))
    assert delivery.queues[0].waiting == 4
    await until(lambda: len(exporter.events) == 9)
    await delivery.close()
    assert sorted(ids(exporter)) == named(*range(9))
    assert all_folders(bench.root) == []
    await bench.letters.close()


async def test_a_folder_that_cannot_be_read_is_told_and_left(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        dead = Bench(tmp_path)
        dead.journal.feed("exporters/x")
        dead.journal.append([event(number)])
        await dead.journal.close()
    broken = sorted((tmp_path / "journal").iterdir())[1].name

    def fails(folder: Path) -> None:
        if folder.name == broken:
            raise PermissionError(errno.EACCES, "Permission denied")
        trim(folder)

    monkeypatch.setattr(left_folders, "trim", fails)
    exporter = Spy()
    delivery = await bench.open(bench.queue(exporter))
    await until(lambda: len(exporter.events) == 2)
    assert bench.reports == [f"the folder '{broken}' of the journal cannot be read: Permission denied"]
    monkeypatch.undo()
    await delivery._adopt(bench.journal)
    await until(lambda: len(exporter.events) == 3)


async def test_folders_that_nobody_takes_any_more_are_given_back(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = Bench(tmp_path)
    dead.journal.feed("exporters/x")
    dead.journal.append([event(1)])
    await dead.journal.close()
    reading, go_on = threading.Event(), threading.Event()

    def slowly(folder: Path) -> None:
        reading.set()
        go_on.wait(30)
        trim(folder)

    monkeypatch.setattr(left_folders, "trim", slowly)
    adopting = asyncio.create_task(bench.journal.adopt())
    await asyncio.to_thread(reading.wait, 30)
    adopting.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await adopting
    (left,) = adopt(bench.root, 9, [])
    left.give_back()


async def test_an_exporter_that_ignores_its_cancellation_does_not_hold_up_the_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(delivering, "ENDING_SECONDS", 0.05)
    end = asyncio.Event()

    class Deaf:
        async def export(self, events: Sequence[Event]) -> None:
            while not end.is_set():
                try:
                    await end.wait()
                except asyncio.CancelledError:
                    continue

    queue = bench.queue(Deaf())
    delivery = await bench.open(queue)
    task = delivery.tasks[queue]
    delivery.put(event(1))
    await asyncio.sleep(0.02)
    await delivery.close()
    assert queue.left_behind == 1
    assert not task.done()
    end.set()
    await asyncio.wait([task])
    (left,) = adopt(bench.root, 9, [])
    assert left.feeds["exporters/x"].waiting == 1
    left.give_back()


async def test_a_position_that_cannot_be_stored_holds_up_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Spy()
    delivery = await bench.open(bench.queue(exporter))
    feed = bench.journal.feed("exporters/x")

    def fails(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(feed.cursor, "move", fails)
    delivery.put(event(1))
    await until(lambda: exporter.events)
    delivery.put(event(2))
    await until(lambda: len(exporter.events) == 2)
    assert set(bench.reports) == {"the position in the journal cannot be stored: No space left on device"}


async def test_a_store_that_comes_back_gets_all_in_order(bench: Bench) -> None:
    class Away(Spy):
        away = True

        async def export(self, events: Sequence[Event]) -> None:
            if self.away:
                raise StoreError("gone", transient=True)
            await super().export(events)

    exporter = Away()
    queue = bench.queue(exporter, batch_size=3, queue_size=4)
    delivery = await bench.open(queue)
    for number in range(50):
        delivery.put(event(number))
        delivery.flush()
    await until(lambda: queue.fault)
    assert (queue.status().waiting, queue.status().lag_s > 1e9) == (50, True)
    exporter.away = False
    await delivery.close()
    assert ids(exporter) == named(*range(50))


def test_an_object_that_cannot_be_written_costs_only_the_event_s_data() -> None:
    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("no")

    ((payload, _),) = encoded([event(1, data={"bad": Bad()})])
    records = decoded(payload)
    assert records is not None
    (found,) = records
    assert isinstance(found, Event)
    assert list(found.data) == ["omitted"]


SPEC = """\
victor: 1
name: journalled
models: {main: {type: echo, context_window: 8000}}
"""
EXPORTER = "exporters: [{type: jsonl, path: events.jsonl, flush_seconds: 0.01}]\n"


async def test_turns_of_a_spec_that_has_no_exporters_any_more_do_not_keep_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "victor.yml"
    path.write_text(SPEC + EXPORTER)
    async with victor_dsl.open(path) as app:
        await app.chat("one")
        path.write_text(SPEC)
        await app.reload(victor_dsl.load(path))
        await app.chat("two")
        path.write_text(SPEC + EXPORTER)
        await app.reload(victor_dsl.load(path))
        await app.chat("three")
    assert all_folders(tmp_path / ".victor" / "journal" / "journalled.victor_yml") == []


async def test_a_disk_without_room_for_a_journal_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "victor.yml"
    path.write_text(SPEC + EXPORTER)
    monkeypatch.setattr(Journal, "feed", full)
    async with victor_dsl.open(path) as app:
        assert (await app.chat("Hello!")).text == "Hello!"
    assert "there is no journal, and events are kept in memory only: No space left on device" in caplog.text
    assert (tmp_path / "events.jsonl").read_text().count('"turn"') == 1
