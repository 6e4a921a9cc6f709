"""`victor dead-letters`: what an exporter did not accept is listed, shown, replayed and dropped."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from tests.interfaces.conftest import Victor
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.storing import RefusedEvent
from victor_dsl.values.event import Event, uuid7

SPEC = """
victor: 1
name: letters
models: {main: echo}
databases: {app: {type: sqlite, path: app.db}}
exporters:
  - {type: sqlite, database: app}
  - {type: jsonl, path: events.jsonl}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "victor.yml").write_text(SPEC, encoding="utf-8")
    return tmp_path


def put(folder: Path, exporter: str, count: int, reason: str = "it was\nrefused") -> list[Event]:
    async def put() -> list[Event]:
        letters = DeadLetters(folder / ".victor")
        events = [Event(uuid7(), "turn", 1.5, "s", None, "letters", "abc", {}, {"number": n}) for n in range(count)]
        await letters.put(f"exporters/{exporter}", [RefusedEvent(event, reason) for event in events], 1_700_000_000.0)
        await letters.close()
        return events

    return asyncio.run(put())


def stored(folder: Path) -> int:
    connection = sqlite3.connect(folder / "app.db")
    (count,) = connection.execute("SELECT count(*) FROM analytics_events").fetchone()
    connection.close()
    return int(count)


def test_without_letters_that_is_said_and_no_file_is_made(folder: Path, victor: Victor) -> None:
    done = victor("dead-letters", "list", "victor.yml")
    assert (done.code, done.out, done.err) == (0, "", "no dead letters\n")
    assert not (folder / ".victor" / "dead-letters.db").exists()


def test_letters_are_listed_one_a_line(folder: Path, victor: Victor) -> None:
    (event, _) = put(folder, "sqlite", 2)
    put(folder, "jsonl", 1)
    done = victor("dead-letters", "list", "victor.yml")
    lines = done.out.splitlines()
    assert lines[0] == f"     1  2023-11-14T22:13:20.000000Z  sqlite  turn  {event.id}  it was refused"
    assert len(lines) == 3
    assert done.err == "3 dead letters\n"
    assert len(victor("dead-letters", "list", "victor.yml", "--exporter", "jsonl").out.splitlines()) == 1
    (first, *_) = victor("dead-letters", "list", "victor.yml", "--json").out.splitlines()
    assert json.loads(first)["event"] == event.as_json()


def test_a_letter_is_shown_whole(folder: Path, victor: Victor) -> None:
    (event,) = put(folder, "sqlite", 1)
    shown = json.loads(victor("dead-letters", "show", "victor.yml", "1").out)
    assert shown == {
        "number": 1,
        "exporter": "exporters/sqlite",
        "put_aside": "2023-11-14T22:13:20.000000Z",
        "reason": "it was\nrefused",
        "event": event.as_json(),
    }


def test_recipe_3_letters_are_replayed_to_their_exporter_and_then_gone(folder: Path, victor: Victor) -> None:
    put(folder, "sqlite", 700)
    put(folder, "jsonl", 2)
    done = victor("dead-letters", "replay", "victor.yml", "--exporter", "sqlite")
    assert (done.code, done.out) == (0, "exporters/sqlite: 700 delivered, 0 refused\n")
    assert stored(folder) == 700
    assert len(victor("dead-letters", "list", "victor.yml").out.splitlines()) == 2
    victor("dead-letters", "replay", "victor.yml", "701")
    assert len((folder / "events.jsonl").read_text().splitlines()) == 1


def test_a_letter_that_is_refused_again_stays_with_the_newer_reason(folder: Path, victor: Victor) -> None:
    put(folder, "sqlite", 1)
    connection = sqlite3.connect(folder / "app.db")
    connection.execute("CREATE TABLE analytics_events (event_id TEXT PRIMARY KEY, timestamp TEXT)")
    connection.close()
    done = victor("dead-letters", "replay", "victor.yml")
    assert done.code == 3
    assert done.out == "exporters/sqlite: 0 delivered, 1 refused\n"
    assert "no column named event_type" in done.err
    assert "no column named event_type" in victor("dead-letters", "list", "victor.yml").out


def test_letters_are_dropped_by_number_or_all(folder: Path, victor: Victor) -> None:
    put(folder, "sqlite", 5)
    assert victor("dead-letters", "drop", "victor.yml", "2", "4").err == "dropped 2 dead letters\n"
    assert victor("dead-letters", "drop", "victor.yml", "--all").err == "dropped 3 dead letters\n"
    assert victor("dead-letters", "list", "victor.yml").out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "victor.yml", "9"), "there is no dead letter 9"),
        (("replay", "victor.yml", "9"), "there is no dead letter 9"),
        (("drop", "victor.yml"), "give the numbers of letters, or --all"),
        (("drop", "victor.yml", "1", "--all"), "give the numbers of letters, or --all"),
        (("list", "victor.yml", "--exporter", "sqlit"), "did you mean 'sqlite'?"),
        (("lst", "victor.yml"), "did you mean 'list'?"),
    ],
)
def test_a_slip_is_told_in_plain_words(folder: Path, victor: Victor, arguments: tuple[str, ...], said: str) -> None:
    done = victor("dead-letters", *arguments)
    assert done.code == 2
    assert said in done.err
