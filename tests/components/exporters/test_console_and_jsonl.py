"""Events as lines, on standard error and in a file."""

import asyncio
import io
import json
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.context import surroundings
from victor_dsl.components.exporters import console, jsonl
from victor_dsl.errors import StoreError
from victor_dsl.language.kinds import Exporter
from victor_dsl.values.event import Event


def event(number: int, **data: Any) -> Event:
    return Event(
        id=f"e{number}",
        type="turn",
        timestamp=1_700_000_000.5,
        session="s1",
        tenant="acme",
        pipeline="support",
        plan="abc",
        variants={"tone": "warm"},
        data=data,
    )


@asynccontextmanager
async def to_file(path: Path, **config: Any) -> AsyncIterator[Exporter]:
    made = jsonl.Config.model_validate({"path": str(path), **config})
    async with jsonl.build(made, surroundings(path.parent, "exporters/jsonl").context) as exporter:
        yield exporter


@asynccontextmanager
async def to_console(tmp_path: Path, **config: Any) -> AsyncIterator[Exporter]:
    made = console.Config.model_validate(config)
    async with console.build(made, surroundings(tmp_path, "exporters/console").context) as exporter:
        yield exporter


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


async def test_the_console_has_one_line_for_people_and_leaves_standard_output_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with to_console(tmp_path) as exporter:
        await exporter.export([event(1, latency_ms=12, model="main", cost_usd=None), event(2, text="a b\n\x1b[31m")])
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "2023-11-14T22:13:20.500000Z turn        acme/s1 tone.warm latency_ms=12 model=main\n"
        '2023-11-14T22:13:20.500000Z turn        acme/s1 tone.warm text="a b\\n\\u001b[31m"\n'
    )


async def test_the_console_writes_json_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with to_console(tmp_path, format="json") as exporter:
        await exporter.export([event(1, n=1)])
    assert json.loads(capsys.readouterr().err) == event(1, n=1).as_json()


async def test_a_closed_standard_error_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    async with to_console(tmp_path) as exporter:
        with pytest.raises(StoreError, match="cannot write to standard error: I/O operation on closed file"):
            await exporter.export([event(1)])


@pytest.mark.parametrize("fsync", [False, True])
async def test_the_file_holds_events_as_the_schema_says_and_is_private(tmp_path: Path, fsync: bool) -> None:
    path = tmp_path / "deep" / "er" / "events.jsonl"
    async with to_file(path, fsync=fsync) as exporter:
        await exporter.export([event(1, text="é\n"), event(2)])
        await exporter.export([event(3)])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        event(1, text="é\n").as_json(), event(2).as_json(), event(3).as_json(),
    ]  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_values_that_orjson_refuses_are_written(tmp_path: Path) -> None:
    async with to_file(tmp_path / "e.jsonl") as exporter:
        await exporter.export([event(1, text="\ud800", n=2**70, path=tmp_path)])
    (line,) = (tmp_path / "e.jsonl").read_text().splitlines()
    assert json.loads(line)["data"] == {"text": "\ud800", "n": 2**70, "path": str(tmp_path)}


async def test_an_event_is_not_written_twice_in_this_run_or_the_next(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    async with to_file(path) as exporter:
        await exporter.export([event(1), event(2)])
        await exporter.export([event(2), event(3), event(3)])
        await exporter.export([event(1)])
    async with to_file(path) as exporter:
        await exporter.export([event(3), event(4)])
    assert ids(path) == ["e1", "e2", "e3", "e4"]


@pytest.mark.parametrize(
    ("torn", "kept"),
    [(b'{"id": "e2", "ty', ["e1"]), (b'{"id": "e2"}', ["e1", "e2"]), (b"\xff", ["e1"])],
)
@pytest.mark.parametrize("meanwhile", [False, True])
async def test_half_a_line_of_a_killed_process_is_removed_or_completed(
    tmp_path: Path, torn: bytes, kept: list[str], meanwhile: bool
) -> None:
    path = tmp_path / "e.jsonl"
    path.write_bytes(b'{"id": "e1"}\n' + (b"" if meanwhile else torn))
    async with to_file(path) as exporter:
        if meanwhile:
            path.write_bytes(path.read_bytes() + torn)
        await exporter.export([event(1), event(2), event(3)])
    assert ids(path) == ["e1", "e2", "e3"]
    assert kept == ids(path)[: len(kept)]


async def test_after_the_file_was_moved_away_a_new_one_is_created(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    async with to_file(path) as exporter:
        await exporter.export([event(1)])
        path.rename(tmp_path / "e.jsonl.1")
        await exporter.export([event(1), event(2)])
        path.unlink()
        await exporter.export([event(3)])
    assert ids(tmp_path / "e.jsonl.1") == ["e1"]
    assert ids(path) == ["e3"]


async def test_two_exporters_on_one_file_tear_no_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    async with to_file(path) as one, to_file(path) as two:
        batches = [[event(10 * n + i, text="x" * 5000) for i in range(10)] for n in range(20)]
        await asyncio.gather(*[(one, two)[n % 2].export(batch) for n, batch in enumerate(batches)])
    assert sorted(ids(path)) == sorted(e.id for batch in batches for e in batch)


async def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    async with to_file(tmp_path / "full.jsonl") as exporter:
        with pytest.raises(StoreError) as caught:
            await exporter.export([event(1)])
    assert str(caught.value) == "exporters/jsonl: cannot write 'full.jsonl': no space left on device"


@pytest.mark.parametrize("path", ["folder", "file/events.jsonl"])
async def test_a_file_that_cannot_be_created_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    made = jsonl.Config(path=str(tmp_path / path))
    with pytest.raises(StoreError, match=f"cannot write '{path}': "):
        async with jsonl.build(made, surroundings(tmp_path).context):
            pass


def test_a_batch_that_fits_only_in_part_leaves_nothing_and_may_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    code = f"""
        import asyncio, resource, signal
        from pathlib import Path
        from tests.components.exporters.test_console_and_jsonl import event, to_file
        from victor_dsl.errors import StoreError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        async def main():
            async with to_file(Path({str(path)!r})) as exporter:
                await exporter.export([event(1)])
                resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
                batch = [event(2), event(3, text="x" * 50_000)]
                try:
                    await exporter.export(batch)
                except StoreError as error:
                    print(error)
                print(len(Path({str(path)!r}).read_text().splitlines()))
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                await exporter.export(batch)
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout == "exporters/jsonl: cannot write 'e.jsonl': file too large\n1\n"
    assert ids(path) == ["e1", "e2", "e3"]


async def test_a_cancelled_export_does_not_race_with_its_retry(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    batch = [event(n) for n in range(100)]
    async with to_file(path) as exporter:
        for _ in range(10):
            task = asyncio.create_task(exporter.export(batch))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await exporter.export(batch)
    assert ids(path) == [e.id for e in batch]


async def test_a_closed_exporter_writes_nothing(tmp_path: Path) -> None:
    async with to_file(tmp_path / "e.jsonl") as exporter:
        pass
    with pytest.raises(StoreError, match="the exporter is closed"):
        await exporter.export([event(1)])
