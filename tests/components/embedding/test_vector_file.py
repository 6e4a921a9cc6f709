"""Vectors outlive the process, are shared between processes, and a bad file costs nothing but time."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import numpy as np
import pytest

from tests.components.context import surroundings
from tests.components.embedding.source import CountingSource, cached

ROOT = Path(__file__).parents[3]


async def test_a_text_is_not_asked_for_again_after_a_restart(tmp_path: Path) -> None:
    async with cached(CountingSource(), tmp_path) as embedder:
        first = await embedder.embed(["a", "b"])
    source = CountingSource()
    async with cached(source, tmp_path) as embedder:
        assert np.array_equal(await embedder.embed(["a", "b"]), first)
    assert source.texts == []


async def test_another_embedder_has_vectors_of_its_own_in_the_same_file(tmp_path: Path) -> None:
    async with cached(CountingSource(), tmp_path) as embedder:
        await embedder.embed(["a"])
    other = CountingSource(dims=3, name="other")
    async with cached(other, tmp_path) as embedder:
        assert (await embedder.embed(["a"])).shape == (1, 3)
    assert other.texts == ["a"]


async def test_neither_texts_nor_names_are_in_the_file_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    async with cached(CountingSource(name="a name of its own"), tmp_path) as embedder:
        await embedder.embed(["the patient has a secret illness"])
        for path in tmp_path.glob("embeddings.db*"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert b"illness" not in path.read_bytes()
            assert b"a name of its own" not in path.read_bytes()


async def test_nothing_is_written_before_there_is_something_to_keep(tmp_path: Path) -> None:
    async with cached(CountingSource(), tmp_path) as embedder:
        await embedder.embed([])
    assert list(tmp_path.iterdir()) == []


async def test_the_vectors_unused_for_longest_go_first(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    async with cached(CountingSource(), tmp_path, entries=3, around=around) as embedder:
        await embedder.embed(["a", "b", "c"])
    around.clock.time += 86_400
    async with cached(CountingSource(), tmp_path, entries=3, around=around) as embedder:
        await embedder.embed(["a"])
        await embedder.embed(["d"])
    source = CountingSource()
    async with cached(source, tmp_path, entries=3, around=around) as embedder:
        await embedder.embed(["a", "c", "d"])
        assert source.texts == []
        await embedder.embed(["b"])
    assert source.texts == ["b"]


async def test_the_file_stays_within_its_bound(tmp_path: Path) -> None:
    async with cached(CountingSource(), tmp_path, entries=100) as embedder:
        for start in range(0, 400, 4):
            await embedder.embed([f"text {n}" for n in range(start, start + 4)])
    with sqlite3.connect(tmp_path / "embeddings.db") as file:
        (count,) = file.execute("SELECT count(*) FROM embeddings").fetchone()
    file.close()
    assert 100 <= count <= 105


@pytest.mark.parametrize("content", [b"this is no database, it is a letter" * 100, b"SQLite format 3\0" + b"x" * 8000])
async def test_a_damaged_file_is_reported_once_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path, around, source = tmp_path / "embeddings.db", surroundings(tmp_path), CountingSource()
    path.write_bytes(content)
    async with cached(source, tmp_path, around=around) as embedder:
        for text in ("a", "b", "a"):
            assert (await embedder.embed([text])).any()
    assert source.texts == ["a", "b"]
    (report,) = [message for message, _ in around.reports]
    assert report.startswith(f"vectors are not cached on disk: {path}: ")
    assert path.read_bytes() == content


async def test_a_file_that_cannot_be_made_fails_no_turn(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    around = surroundings(tmp_path)
    async with cached(CountingSource(), tmp_path, around=around, path=tmp_path / "file" / "cache.db") as embedder:
        assert (await embedder.embed(["a"])).any()
    assert len(around.reports) == 1


async def test_a_folder_in_the_file_s_place_fails_no_turn(tmp_path: Path) -> None:
    (tmp_path / "embeddings.db").mkdir()
    around = surroundings(tmp_path)
    async with cached(CountingSource(), tmp_path, around=around) as embedder:
        assert (await embedder.embed(["a"])).any()
    assert "is a folder" in around.reports[0][0]


async def test_a_file_that_was_held_by_another_is_used_again_after_a_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("victor_dsl.components.embedding.vector_file.BUSY_SECONDS", 0.01)
    around = surroundings(tmp_path)
    async with cached(CountingSource(), tmp_path, around=around) as embedder:
        await embedder.embed(["a"])
        holder = sqlite3.connect(tmp_path / "embeddings.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        await embedder.embed(["b"])
        holder.execute("ROLLBACK")
        holder.close()
        await embedder.embed(["c"])
        around.clock.time += 61
        await embedder.embed(["d"])
    assert len(around.reports) == 1
    source = CountingSource()
    async with cached(source, tmp_path) as embedder:
        await embedder.embed(["a", "b", "c", "d"])
    assert source.texts == ["b", "c"]


@pytest.mark.parametrize(
    "blob", [b"", b"abc", np.full(8, np.nan, "<f4").tobytes(), np.ones(8, "<f4").tobytes(), "text"]
)
async def test_a_vector_that_is_not_whole_is_made_anew(tmp_path: Path, blob: object) -> None:
    async with cached(CountingSource(), tmp_path) as embedder:
        expected = await embedder.embed(["a"])
    with sqlite3.connect(tmp_path / "embeddings.db") as file:
        file.execute("UPDATE embeddings SET vector = ?", (blob,))
    file.close()
    source = CountingSource()
    async with cached(source, tmp_path) as embedder:
        assert np.array_equal(await embedder.embed(["a"]), expected)
    assert source.texts == ["a"]


async def test_vectors_of_another_length_on_disk_are_forgotten(tmp_path: Path) -> None:
    async with cached(CountingSource(dims=4), tmp_path) as embedder:
        await embedder.embed(["a", "b"])
    source = CountingSource(dims=6)
    async with cached(source, tmp_path) as embedder:
        assert (await embedder.embed(["a", "c"])).shape == (2, 6)
    async with cached(source, tmp_path) as embedder:
        assert (await embedder.embed(["a", "b", "c"])).shape == (3, 6)
    assert sorted(source.texts) == ["a", "b", "c"]


async def test_several_processes_write_and_read_one_file(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from tests.components.context import surroundings
from tests.components.embedding.source import CountingSource, cached

async def main():
    folder = Path(sys.argv[1])
    around = surroundings(folder)
    async with cached(CountingSource(), folder, entries=1000, around=around) as embedder:
        for start in range(0, 60, 3):
            await embedder.embed([f"{sys.argv[2]} {n}" for n in range(start, start + 3)] + ["shared"])
    assert not around.reports, around.reports

asyncio.run(main())
"""
    run = asyncio.create_subprocess_exec
    command = [sys.executable, "-c", program, str(tmp_path)]
    started = [await run(*command, str(n), stderr=PIPE, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) for n in range(4)]
    for process in started:
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()
    source = CountingSource()
    async with cached(source, tmp_path, entries=1000) as embedder:
        await embedder.embed([f"{process} {n}" for process in range(4) for n in range(60)] + ["shared"])
    assert source.texts == []
