"""Files of lines are renamed at their maximum size, and no line is lost or written twice by it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest

from victor_dsl.storage import line_file
from victor_dsl.storage.line_file import LineFile

WRITER = """
import sys
from victor_dsl.storage.line_file import LineFile
file = LineFile(sys.argv[1], most_bytes=4_000, keep=1_000)
file.open()
for batch in range(60):
    ids = [f"{sys.argv[2]}-{batch}-{number}" for number in range(5)]
    file.append([(id, b'{"id": "%b"}\\n' % id.encode()) for id in ids])
file.close()
"""


def line(id: str) -> tuple[str, bytes]:
    return id, orjson.dumps({"id": id, "padding": "x" * 50}) + b"\n"


def ids(path: Path) -> list[str]:
    return [orjson.loads(one)["id"] for one in path.read_text().splitlines()]


def test_the_newest_files_stay(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    file = LineFile(str(path), most_bytes=150, keep=2)
    file.open()
    for number in range(8):
        file.append([line(f"e{number}")])
    file.close()
    assert [ids(path.with_name(name)) for name in ("e.jsonl.2", "e.jsonl.1", "e.jsonl")] == [
        ["e2", "e3"],
        ["e4", "e5"],
        ["e6", "e7"],
    ]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_line_that_another_process_wrote_before_it_renamed_the_file_is_not_written_again(tmp_path: Path) -> None:
    path = str(tmp_path / "e.jsonl")
    here, other = LineFile(path, most_bytes=150), LineFile(path, most_bytes=150)
    here.open()
    other.open()
    for number in range(3):
        other.append([line(f"e{number}")])
    here.append([line("e0"), line("e1"), line("e2"), line("e3")])
    assert ids(tmp_path / "e.jsonl.1") + ids(tmp_path / "e.jsonl") == ["e0", "e1", "e2", "e3"]
    here.close()
    other.close()


@pytest.mark.skipif(line_file.fcntl is None, reason="without flock a file has one process")
def test_several_processes_lose_and_double_no_line(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"]
    assert [process.wait() for process in processes] == [0, 0, 0]
    files = list(tmp_path.iterdir())
    assert len(files) > 3
    assert max(file.stat().st_size for file in files) <= 4_000
    counts = Counter(id for file in files for id in ids(file))
    expected = {f"{name}-{batch}-{number}" for name in "abc" for batch in range(60) for number in range(5)}
    assert set(counts) == expected
    assert set(counts.values()) == {1}
