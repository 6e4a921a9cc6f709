"""An exporter that cannot be opened at the start is a warning, and gets all its events once it can be."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

import victor_dsl
from victor_dsl.errors import ComponentError

SPEC = """\
victor: 1
name: late
models: {main: {type: echo, context_window: 8000}}
exporters:
  - {type: jsonl, path: blocked/events.jsonl, flush_seconds: 0.01}
  - {type: jsonl, name: other, path: other.jsonl}
"""


def spec(folder: Path, text: str = SPEC) -> Path:
    (folder / "victor.yml").write_text(text)
    return folder / "victor.yml"


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


async def test_a_file_that_cannot_be_written_gets_its_events_when_it_can_be(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").touch()  # a file stands where a folder should be
    async with victor_dsl.open(spec(tmp_path)) as app:
        assert "exporters/jsonl: cannot be opened, and is tried again: " in caplog.text
        await app.chat("one")
        (tmp_path / "blocked").unlink()
        await app.chat("two")
    assert ids(tmp_path / "blocked" / "events.jsonl") == ids(tmp_path / "other.jsonl")
    assert len(ids(tmp_path / "other.jsonl")) == 7  # the report of the exporter, and three for each turn


async def test_what_cannot_be_opened_to_the_end_gets_its_events_at_the_next_start(tmp_path: Path) -> None:
    path = spec(tmp_path)
    (tmp_path / "blocked").touch()
    async with victor_dsl.open(path) as app:
        await app.chat("one")
    (tmp_path / "blocked").unlink()
    async with victor_dsl.open(path) as app:
        await app.chat("two")
    late, other = ids(tmp_path / "blocked" / "events.jsonl"), ids(tmp_path / "other.jsonl")
    assert set(late) == set(other)
    assert len(set(late)) == len(late)


async def test_a_dashboard_whose_port_is_taken_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        dashboard = f'  - {{type: websocket, port: {port}, token: "${{env:TOKEN}}"}}\n'
        async with victor_dsl.open(spec(tmp_path, SPEC + dashboard), env={"TOKEN": "t" * 40}) as app:
            assert (await app.chat("one")).text == "one"
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in caplog.text


async def test_a_required_exporter_must_open(tmp_path: Path) -> None:
    (tmp_path / "blocked").touch()
    text = SPEC.replace("flush_seconds: 0.01", "required: true")
    with pytest.raises(ComponentError, match="exporters/jsonl"):
        async with victor_dsl.open(spec(tmp_path, text)):
            pass
