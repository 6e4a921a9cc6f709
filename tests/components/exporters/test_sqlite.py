"""Events in a SQLite database: each once, each as it was, whatever came with it."""

import json
import math
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.components.context import surroundings
from victor_dsl.components.exporters import sqlite
from victor_dsl.errors import ComponentError, StoreError
from victor_dsl.language.kinds import Exporter
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.event import Event, uuid7

NOW = 1_700_000_000.123456


def event(**data: Any) -> Event:
    return Event(uuid7(NOW), "turn", NOW, "s1", "acme", "support", "abc", {"tone": "warm"}, data)


@asynccontextmanager
async def exporter_to(path: Path, **config: Any) -> AsyncIterator[Exporter]:
    made = sqlite.Config.model_validate({"database": "databases/app", **config})
    async with SqliteFile(path) as database:
        around = surroundings(path.parent, "exporters/sqlite", needs={"databases/app": database})
        async with sqlite.build(made, around.context) as exporter:
            yield exporter


def rows(path: Path, table: str = "analytics_events") -> list[dict[str, Any]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY event_id")]
    connection.close()
    return found


async def test_a_row_has_every_column(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    one = event(latency_ms=1.5, cost_usd=None)
    async with exporter_to(path) as exporter:
        await exporter.export([one, evolve(one, id=uuid7(NOW + 1), tenant=None)])
    assert rows(path)[0] == {
        "event_id": one.id,
        "event_type": "turn",
        "timestamp": "2023-11-14T22:13:20.123456Z",
        "session_id": "s1",
        "tenant_id": "acme",
        "user_id": None,
        "pipeline": "support",
        "plan": "abc",
        "variants": '{"tone":"warm"}',
        "event_data": '{"latency_ms":1.5,"cost_usd":null}',
    }
    assert rows(path)[1]["tenant_id"] is None


async def test_recipe_3_five_events_of_one_millisecond_are_five_and_a_repeat_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    five = [event(number=number) for number in range(5)]
    async with exporter_to(path) as exporter:
        await exporter.export(five)
        await exporter.export(five[2:])
        await exporter.export([*five, *five])
    assert sorted(json.loads(row["event_data"])["number"] for row in rows(path)) == [0, 1, 2, 3, 4]


OLD_TABLE = """CREATE TABLE analytics_events (event_id TEXT PRIMARY KEY, event_type TEXT NOT NULL, timestamp TEXT NOT NULL,
session_id TEXT NOT NULL, tenant_id TEXT, pipeline TEXT NOT NULL, plan TEXT NOT NULL, variants TEXT NOT NULL, event_data TEXT NOT NULL)"""


async def test_a_table_of_an_earlier_version_keeps_its_rows_and_gets_users(tmp_path: Path) -> None:
    path, old = tmp_path / "app.db", event(latency_ms=1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(OLD_TABLE)
        values = (old.id, "turn", "2023-11-14T22:13:20.123456Z", "s1", "acme", "support", "abc", "{}", "{}")
        connection.execute("INSERT INTO analytics_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    outside = Event(uuid7(NOW + 1), "reload", NOW + 1, None, None, "support", "abc", {}, {})
    anns = evolve(old, id=uuid7(NOW + 2), user="ann")
    for _ in range(2):
        async with exporter_to(path) as exporter:
            await exporter.export([old, anns, outside])
    found = {row["event_id"]: (row["session_id"], row["user_id"]) for row in rows(path)}
    assert found == {old.id: ("s1", None), anns.id: ("s1", "ann"), outside.id: (None, None)}


async def test_recipe_3_the_table_is_made_once_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    for number in range(3):
        async with exporter_to(path, table="events_of_mine") as exporter:
            await exporter.export([event(number=number)])
    assert len(rows(path, "events_of_mine")) == 3


async def test_values_that_json_or_a_database_cannot_represent_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    odd = evolve(
        event(
            nul="a\0b",
            lone="a\ud800b",
            numbers=[math.nan, math.inf, -math.inf, 2**70],
            nan=math.nan,
            path=Path("x"),
            inside={"k\0": {"list": ["\0"]}, 1: True},
            escaped="\\u0000",
            none=None,
        ),
        session="s\0\udfff",
        tenant="t\0",
    )
    async with exporter_to(path) as exporter:
        await exporter.export([odd])
    (row,) = rows(path)
    assert (row["session_id"], row["tenant_id"]) == ("s␀�", "t\\u0000")
    assert json.loads(row["event_data"]) == {
        "nul": "a␀b",
        "lone": "a�b",
        "numbers": ["NaN", "Infinity", "-Infinity", 2**70],
        "nan": "NaN",
        "path": "x",
        "inside": {"k␀": {"list": ["␀"]}, "1": True},
        "escaped": "\\u0000",
        "none": None,
    }


async def test_data_of_10_mb_and_200_levels_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"a": deep}
    async with exporter_to(path) as exporter:
        await exporter.export([event(text="x" * 10_000_000), event(deep=deep)])
    assert sorted(len(row["event_data"]) for row in rows(path)) == [1_211, 10_000_011]


async def test_data_nested_too_deeply_are_refused(tmp_path: Path) -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    async with exporter_to(tmp_path / "app.db") as exporter:
        with pytest.raises(ValueError, match="nested too deeply"):
            await exporter.export([event(endless=endless)])


async def test_a_locked_file_is_a_transient_error(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    other = sqlite3.connect(path)
    async with SqliteFile(path, busy_timeout_s=0) as database:
        around = surroundings(tmp_path, needs={"databases/app": database})
        async with sqlite.build(sqlite.Config(database="databases/app"), around.context) as exporter:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match="locked") as caught:
                await exporter.export([event()])
            other.rollback()
            await exporter.export([event()])
    other.close()
    assert caught.value.transient


async def test_a_missing_table_is_not_a_transient_error(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    async with exporter_to(path) as exporter:
        other = sqlite3.connect(path)
        other.execute("DROP TABLE analytics_events")
        other.close()
        with pytest.raises(StoreError, match="no such table") as caught:
            await exporter.export([event()])
    assert not caught.value.transient


async def test_another_database_is_refused(tmp_path: Path) -> None:
    around = surroundings(tmp_path, "exporters/sqlite", needs={"databases/app": object()})
    with pytest.raises(ComponentError, match="type sqlite only"):
        async with sqlite.build(sqlite.Config(database="databases/app"), around.context):
            pass
