"""Events are in the journal before a reply is given, and reach every exporter from there, whatever becomes of the process."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import victor_dsl
from tests.runtime.stage import HandClock
from victor_dsl.graph.plan import JournalPolicy
from victor_dsl.runtime import delivery as delivering
from victor_dsl.runtime.delivery.journal import Journal, JournalFull, journal_root
from victor_dsl.runtime.delivery.journal_records import TurnStart, decoded, encoded
from victor_dsl.runtime.nodes import SystemClock
from victor_dsl.storage.journal import Disk, Reader, Writer
from victor_dsl.storage.journal.folders import all_folders
from victor_dsl.values.event import Contents, Event
from victor_dsl.values.message import Message, ToolCall
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool

SPEC = """\
victor: 1
name: journalled
models: {main: {type: MODEL, context_window: 8000}}
exporters: [{type: jsonl, path: events.jsonl, flush_seconds: 0.01}]
"""


def spec(folder: Path, text: str = SPEC, model: str = "echo") -> Path:
    path = folder / "victor.yml"
    path.write_text(text.replace("MODEL", model))
    return path


def root(folder: Path) -> Path:
    return journal_root(folder / ".victor", "journalled", "victor.yml")


def in_journal(folder: Path) -> list[Event | TurnStart]:
    """All records that lie in the journal."""
    return [
        record
        for one in all_folders(root(folder))
        for _, payload in Reader(one, live=True)
        for record in decoded(payload) or ()
    ]


def stored(folder: Path) -> list[dict[str, Any]]:
    path = folder / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def event(number: int, type: Any = "turn", data: Any = None) -> Event:
    return Event(f"e{number}", type, 0.0, "s", None, "p", "", {}, data or {})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "j", JournalPolicy(), SystemClock())
    yield journal
    journal._close()


async def test_a_turn_is_on_the_disk_before_its_reply_is_given(tmp_path: Path) -> None:
    text = SPEC.replace("flush_seconds: 0.01", "flush_seconds: 60")
    async with victor_dsl.open(spec(tmp_path, text)) as app:
        await app.chat("Hello!", session_id="s")
        start, *events = in_journal(tmp_path)
        assert isinstance(start, TurnStart)
        assert [one.type for one in events if isinstance(one, Event)] == ["model_call", "token_usage", "turn"]
        assert events[-1].id == start.event_id  # type: ignore[union-attr]
        assert stored(tmp_path) == []
    assert [one["type"] for one in stored(tmp_path)] == ["model_call", "token_usage", "turn"]
    assert all_folders(root(tmp_path)) == []


async def test_the_start_of_a_turn_is_on_the_disk_while_its_model_answers(tmp_path: Path) -> None:
    async with victor_dsl.open(spec(tmp_path)) as app:
        found = []

        async def emit(_: object) -> None:
            await asyncio.sleep(0)
            found.append(in_journal(tmp_path))

        await app.chat("Hello!", session_id="s", emit=emit)
    assert [type(record) for record in found[0]] == [TurnStart]


KILLED = """
import asyncio, os, signal, sys
import victor_dsl

async def main():
    async with victor_dsl.open("victor.yml") as app:
        calls = 0
        async def emit(delta):
            nonlocal calls
            calls += 1
            if calls > 1:
                await asyncio.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)
        request = victor_dsl.Request(message="Hello you there!", session="s", tenant="acme", turn_id=TURN)
        await app.chat(victor_dsl.Request(message="Hello!", session="before"))
        await app.answer(request, emit)

asyncio.run(main())
"""


def kill_in_a_turn(folder: Path, turn_id: str | None = None) -> None:
    program = KILLED.replace("TURN", repr(turn_id))
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, check=False)
    assert done.returncode == -signal.SIGKILL


async def test_a_turn_whose_process_was_killed_has_a_turn_event_once(tmp_path: Path) -> None:
    path = spec(tmp_path)
    kill_in_a_turn(tmp_path)
    for _ in range(2):
        async with victor_dsl.open(path):
            pass
    turns = [one for one in stored(tmp_path) if one["type"] == "turn"]
    assert [(one["session"], one["tenant"], one["data"].get("error")) for one in turns] == [
        ("before", None, None),
        ("s", "acme", "interrupted"),
    ]
    assert len({one["id"] for one in stored(tmp_path)}) == len(stored(tmp_path))


async def test_a_turn_that_its_caller_repeats_after_a_kill_is_one_turn(tmp_path: Path) -> None:
    path, turn_id = spec(tmp_path), "01a21c77-acc5-7626-9269-99d69837f108"
    kill_in_a_turn(tmp_path, turn_id)
    async with victor_dsl.open(path) as app:
        await app.answer(Request(message="Hello you there!", session="s", tenant="acme", turn_id=turn_id))
    turns = [one for one in stored(tmp_path) if one["type"] == "turn" and one["session"] == "s"]
    assert [one["data"]["stop_reason"] for one in turns] == ["stop"]


async def test_what_a_process_that_died_has_left_is_delivered_by_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "ADOPT_SECONDS", 0.01)
    path = spec(tmp_path)
    async with victor_dsl.open(path) as app:
        await asyncio.to_thread(kill_in_a_turn, tmp_path)
        while not any(one["data"].get("error") == "interrupted" for one in stored(tmp_path)):
            await asyncio.sleep(0.01)
        await app.chat("Hello!")
    assert all_folders(root(tmp_path)) == []


async def test_a_damaged_journal_costs_what_is_damaged(tmp_path: Path) -> None:
    path = spec(tmp_path)
    writer = Writer(make(root(tmp_path) / "1"), Disk())
    for number in range(9):
        writer.append(encoded([event(number)])[0][0])
    writer.close()
    (root(tmp_path) / "1" / "exporters%2Fjsonl.cursor").touch()
    segment = root(tmp_path) / "1" / "00000001.log"
    content = bytearray(segment.read_bytes())
    content[content.index(b'"e4"')] ^= 1
    segment.write_bytes(content)
    async with victor_dsl.open(path):
        pass
    assert [one["id"] for one in stored(tmp_path)[:8]] == [f"e{number}" for number in range(9) if number != 4]
    assert [one["data"]["code"] for one in stored(tmp_path)[8:]] == ["damaged"]


def make(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    "data",
    [
        {"text": "\0 \ud800 ␀", "big": 1 << 80, "float": 0.1, "none": None},
        {"deep": json.loads("[" * 200 + "]" * 200)},
        {"long": "x" * 10_000_000},
    ],
    ids=["characters", "depth", "size"],
)
def test_odd_data_comes_back_as_it_was(data: dict[str, Any]) -> None:
    assert decoded(encoded([event(1, data=data)])[0][0]) == [event(1, data=data)]


def there_and_back(event: Event) -> Event:
    records = decoded(encoded([event])[0][0])
    assert records is not None
    (found,) = records
    assert isinstance(found, Event)
    return found


def test_data_that_is_no_json_comes_back_in_a_stated_form() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    odd = {"nan": float("nan"), "object": Path("a"), 7: "seven"}
    found = there_and_back(event(1, data=odd))
    assert found.data["object"] == "a"
    found = there_and_back(event(1, data={"deep": deep}))
    assert "omitted" in found.data
    assert decoded(b"{}") is None or decoded(b"{}") == []
    assert decoded(b"no JSON") is None


def test_contents_come_back_as_they_were() -> None:
    calls = (ToolCall("1", "look", '{"a": 1}'),)
    conversation = (Message("user", "hi"), Message("assistant", "", calls), Message("tool", "x", tool_call_id="1"))
    request = Request(vars={"a": [1]}, inputs={"b": "c"}, settings={"temperature": 1}, tools=(Tool("t", "d"),))
    one = Event("e", "turn", 0.0, "s", None, "p", "", {}, {}, contents=Contents(request, "ann", conversation))
    found = there_and_back(one)
    assert found.contents is not None
    assert found.contents.conversation == conversation
    assert found.contents.user == "ann"
    for name in ("vars", "inputs", "settings", "tools"):
        assert getattr(found.contents.request, name) == getattr(request, name)


async def test_a_full_journal_refuses_new_turns_and_finishes_those_that_run(tmp_path: Path) -> None:
    text = SPEC + "journal: {when_full: fail}\n"
    async with victor_dsl.open(spec(tmp_path, text)) as app:
        journal = app._delivery.journal
        assert journal is not None

        async def fill(_: object) -> None:
            journal._is_over = True
            journal._measure = lambda: None  # type: ignore[method-assign]

        assert (await app.answer(Request(message="one", session="s"), fill)).text == "one"
        refused = await app.answer(Request(message="two", session="s"))
        assert isinstance(refused.error, JournalFull)
        assert refused.error.to_dict()["code"] == "journal-full"
    turns = [one for one in stored(tmp_path) if one["type"] == "turn"]
    assert [one["data"]["stop_reason"] for one in turns] == ["stop", "error"]
    assert not any(one["type"] == "model_call" and one["id"][19:] == turns[1]["id"][19:] for one in stored(tmp_path))


async def test_a_turn_waits_for_room_and_then_runs(journal: Journal) -> None:
    journal._is_over = True
    rounds = 0

    def measure() -> None:
        nonlocal rounds
        rounds += 1
        journal._is_over = rounds < 4

    journal._measure = measure  # type: ignore[method-assign]
    await journal.wait_for_room(lambda: False)
    assert rounds == 4


async def test_a_turn_that_waits_too_long_is_refused(tmp_path: Path) -> None:
    clock = HandClock()
    journal = Journal(tmp_path / "j", JournalPolicy(), clock)
    journal._is_over = True
    journal._measure = lambda: None  # type: ignore[method-assign]
    waiting = asyncio.create_task(journal.wait_for_room(lambda: False))
    while not waiting.done():
        await asyncio.sleep(0)
        clock.move(1)
    with pytest.raises(JournalFull, match="no further turn may begin"):
        await waiting
    journal._close()


async def test_the_oldest_events_are_dropped_and_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", JournalPolicy(when_full="drop_oldest", max_mb=3), SystemClock())
    feed = journal.feed("exporters/x")
    for number in range(3_000):
        journal.append([event(number, data={"text": "x" * 1_000})])
    assert journal.is_full
    lost: list[dict[str, int] | None] = []

    def drop() -> bool:
        lost.append(journal.drop_oldest({}))
        return lost[-1] is not None

    await journal.wait_for_room(drop)
    dropped = sum(one["exporters/x"] for one in lost if one is not None)
    assert 500 < dropped < 3_000
    rest, _ = await feed.read(10_000)
    assert [one.id for one in rest] == [f"e{number}" for number in range(dropped, 3_000)]
    journal._close()


async def test_events_that_find_the_queue_full_are_read_from_the_journal(tmp_path: Path) -> None:
    text = SPEC.replace("flush_seconds: 0.01", "flush_seconds: 0.01, queue_size: 5, batch_size: 3")
    async with victor_dsl.open(spec(tmp_path, text)) as app:
        for number in range(40):
            app._delivery.put(event(number, "error"))
        app._delivery.flush()
        (queue,) = app._delivery.queues
        assert queue.waiting == 40
    assert [one["id"] for one in stored(tmp_path)] == [f"e{number}" for number in range(40)]


async def test_an_exporter_with_another_config_goes_on_where_the_old_one_was(tmp_path: Path) -> None:
    path = spec(tmp_path, SPEC.replace("flush_seconds: 0.01", "flush_seconds: 60"))
    async with victor_dsl.open(path) as app:
        await app.chat("one", session_id="a")
        other = spec(tmp_path, SPEC.replace("flush_seconds: 0.01", "flush_seconds: 0.5, batch_size: 2"))
        await app.reload(victor_dsl.load(other))
        await app.chat("two", session_id="b")
    turns = [one["session"] for one in stored(tmp_path) if one["type"] == "turn"]
    assert turns == ["a", "b"]
    assert len({one["id"] for one in stored(tmp_path)}) == len(stored(tmp_path))


async def test_a_state_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".victor").mkdir()
    (tmp_path / ".victor" / "journal").touch()
    async with victor_dsl.open(spec(tmp_path)) as app:
        await app.chat("Hello!")
    assert "there is no journal, and events are kept in memory only" in caplog.text
    assert [one["type"] for one in stored(tmp_path) if one["type"] == "turn"] == ["turn"]


async def test_turns_that_sync_at_the_same_time_share_it(tmp_path: Path) -> None:
    class Counting(Disk):
        syncs = 0

        def sync(self, descriptor: int) -> None:
            self.syncs += 1
            super().sync(descriptor)

    disk = Counting()
    journal = Journal(tmp_path / "j", JournalPolicy(fsync="always"), SystemClock(), disk)

    async def turn(number: int) -> None:
        journal.append([event(number)])
        await journal.synced()

    await asyncio.gather(*map(turn, range(50)))
    assert 1 <= disk.syncs <= 3
    journal._close()


def test_a_spec_has_a_journal_of_its_own(tmp_path: Path) -> None:
    assert journal_root(tmp_path, "a/b", "x/victor.yml") == tmp_path / "journal" / "a_b.victor_yml"
