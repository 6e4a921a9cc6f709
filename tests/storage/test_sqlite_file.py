"""One SQLite file, its threads and its errors."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from victor_dsl.errors import StoreError
from victor_dsl.storage.sqlite_file import SqliteFile, _Connection

TABLE = ("CREATE TABLE t (a TEXT, b TEXT)", ())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sqlite")]


def open_files() -> list[str]:
    return [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()]


async def test_parameters_go_by_number_and_not_by_first_use(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "a.db") as file:
        await file.execute([TABLE, ("INSERT INTO t VALUES ($2, $1)", ("one", "two"))])
        assert await file.fetch("SELECT a, b FROM t WHERE b = $2 AND a = $1", "two", "one") == [
            {"a": "two", "b": "one"}
        ]


@pytest.mark.parametrize("path", ["a.db", ":memory:"])
async def test_a_transaction_is_done_whole_or_not_at_all(tmp_path: Path, path: str) -> None:
    async with SqliteFile(path if path == ":memory:" else tmp_path / path) as file:
        await file.execute([TABLE])
        with pytest.raises(StoreError, match="no such table: nowhere"):
            await file.execute([("INSERT INTO t VALUES ('x', 'y')", ()), ("INSERT INTO nowhere VALUES (1)", ())])
        assert await file.fetch("SELECT * FROM t") == []


async def test_a_write_with_rows_goes_through_the_writer(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "a.db") as file:
        await file.execute([TABLE])
        assert await file.fetch("INSERT INTO t VALUES ('x', 'y') RETURNING a") == [{"a": "x"}]


async def test_reads_go_on_while_a_transaction_is_open(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with SqliteFile(path) as file:
        await file.execute([TABLE])
        with sqlite3.connect(path) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO t VALUES ('x', 'y')")
            assert (
                await asyncio.gather(*[file.fetch("SELECT count(*) AS n FROM t") for _ in range(10)])
                == [[{"n": 0}]] * 10
            )
        other.close()


async def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "a.db") as one, SqliteFile(tmp_path / "a.db") as two:
        await one.execute([TABLE])
        insert = [("INSERT INTO t VALUES ($1, '')", ("x",))]
        await asyncio.gather(*[file.execute(insert) for file in (one, two) for _ in range(50)])
        assert await one.fetch("SELECT count(*) AS n FROM t") == [{"n": 100}]


async def test_the_file_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.db"
    async with SqliteFile(path) as file:
        await file.execute([TABLE])
        for made in path.parent.iterdir():
            assert stat.S_IMODE(made.stat().st_mode) == 0o600, made
    assert [made.name for made in path.parent.iterdir()] == ["a.db"]


async def test_any_text_is_stored_unchanged(tmp_path: Path) -> None:
    texts = ["'\"; DROP TABLE t; --", "a\0b", "é" * 10_000, ""]
    async with SqliteFile(tmp_path / "a.db") as file:
        await file.execute([TABLE, *[("INSERT INTO t VALUES ($1, $1)", (text,)) for text in texts]])
        assert [row["a"] for row in await file.fetch("SELECT a FROM t ORDER BY rowid")] == texts
        with pytest.raises(StoreError, match=r"a\.db"):
            await file.fetch("SELECT $1", "\ud800")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"no database, but longer than a header " * 20), "not a SQLite database"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.symlink_to("/proc/nowhere/a.db"), "unable to open database file"),
    ],
)
async def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    path = tmp_path / "bad.db"
    make(path)
    with pytest.raises(StoreError, match=r"bad\.db") as caught:
        await SqliteFile(path).__aenter__()
    assert said in str(caught.value)
    assert threads() == []


async def test_a_full_disk_is_an_error_that_names_the_file_and_keeps_what_was_there(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "a.db") as file:
        await file.execute([TABLE, ("INSERT INTO t VALUES ('x', 'y')", ())])
        await file.fetch("PRAGMA max_page_count = 3")
        with pytest.raises(StoreError, match=r"a\.db: database or disk is full \(free some space on the disk\)"):
            await file.execute([("INSERT INTO t VALUES ($1, '')", ("x" * 100_000,))])
        assert await file.fetch("SELECT a FROM t") == [{"a": "x"}]


def test_a_write_over_the_process_limit_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    code = f"""
        import asyncio, resource, signal
        from victor_dsl.errors import StoreError
        from victor_dsl.storage.sqlite_file import SqliteFile, _Connection
        async def main():
            async with SqliteFile({str(tmp_path / "a.db")!r}) as file:
                await file.execute([("CREATE TABLE t (a)", ())])
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
                try:
                    await file.execute([("INSERT INTO t VALUES ($1)", ("x" * 100_000,))])
                except StoreError as error:
                    print(error)
        asyncio.run(main())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "a.db: " in done.stdout


async def test_closing_leaves_no_thread_and_opening_again_works(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "a.db")
    for _ in range(2):
        async with file:
            await asyncio.gather(*[file.fetch("SELECT 1") for _ in range(5)])
            assert 2 <= len(threads()) <= 3
        assert threads() == []
    with pytest.raises(StoreError, match="closed"):
        await file.fetch("SELECT 1")


@pytest.mark.parametrize("steps", range(4))
async def test_a_cancelled_opening_leaves_nothing(tmp_path: Path, steps: int) -> None:
    file = SqliteFile(tmp_path / "a.db")
    task = asyncio.create_task(file.__aenter__())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        await file.__aexit__(None, None, None)
    assert threads() == []
    assert not any("a.db" in name for name in open_files())


async def test_work_of_a_cancelled_caller_does_not_hold_up_the_next(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "a.db") as file:
        await file.execute([TABLE])
        task = asyncio.create_task(file.execute([("INSERT INTO t VALUES ('x', 'y')", ())] * 100))
        await asyncio.sleep(0)
        task.cancel()
        rows = await file.fetch("SELECT count(*) AS n FROM t")
        assert rows[0]["n"] in {0, 100}


class Switched:
    """A connection that other processes keep from switching to WAL so many times."""

    def __init__(self, times: int) -> None:
        self.left = times

    def execute(self, sql: str) -> None:
        assert sql == "PRAGMA journal_mode = WAL"
        if self.left:
            self.left -= 1
            raise sqlite3.OperationalError("database is locked")


def test_processes_that_open_a_file_at_once_wait_for_each_other() -> None:
    opening, connection = _Connection("x.db", 60, "", read_only=False), Switched(3)
    opening._use_wal(connection)  # type: ignore[arg-type]
    assert connection.left == 0
    impatient = _Connection("x.db", 0, "", read_only=False)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        impatient._use_wal(Switched(3))  # type: ignore[arg-type]
