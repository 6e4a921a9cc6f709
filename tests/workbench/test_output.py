"""The output of a batch holds whole lines only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from victor_dsl.errors import StoreError, UsageError
from victor_dsl.workbench.batch.output import Output, encode


def test_an_output_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("mine\n")
    with pytest.raises(UsageError, match="--resume continues it, --overwrite replaces it"):
        Output(str(path))
    assert path.read_text() == "mine\n"


def test_overwrite_begins_with_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    with Output(str(path), "overwrite") as output:
        output.write({"id": 1})
    assert path.read_text() == '{"id":1}\n'


@pytest.mark.parametrize("torn", [b"", b'{"id": 3', b'{"id": 3}', b"\0" * 70_000, b"x" * 200_000])
def test_resume_cuts_a_torn_last_line_and_goes_on_behind_it(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"id": 1}\n{"id": 2}\n' + torn)
    with Output(str(path), "resume") as output:
        assert [answer["id"] for answer in output.answered()] == [1, 2]
        output.write({"id": 3})
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_resume_without_an_output_starts_afresh(tmp_path: Path) -> None:
    with Output(str(tmp_path / "out.jsonl"), "resume") as output:
        assert list(output.answered()) == []


def test_resume_refuses_a_file_that_is_no_output(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text('{"id": 1}\nnotes\n')
    with Output(str(path), "resume") as output, pytest.raises(UsageError, match=r"notes\.txt:2 is not a reply line"):
        list(output.answered())
    assert path.read_text() == '{"id": 1}\nnotes\n'


def test_errors_are_dropped_and_the_rest_stays_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    good = '{"id":1, "error":null}\n', '{"id": 3}\n'
    path.write_text(f'{good[0]}{{"id":2,"error":{{"code":"x"}}}}\n{good[1]}{{"id":')
    path.chmod(0o640)
    (tmp_path / "link.jsonl").symlink_to(path)
    with Output(str(tmp_path / "link.jsonl"), "resume") as output:
        output.drop_errors()
        with pytest.raises(UsageError, match="another run is writing"):
            Output(str(path), "resume")
        output.write({"id": 2})
    assert path.read_text() == f'{good[0]}{good[1]}{{"id":2}}\n'
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.jsonl", "out.jsonl"]


def test_a_file_without_room_for_another_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"id": 1, "error": {"code": "x"}}\n')
    with Output(str(path), "resume") as output:
        with monkeypatch.context() as patched:

            def fail(fd: int) -> None:
                raise OSError(28, "No space left on device")

            patched.setattr(os, "fsync", fail)
            with pytest.raises(StoreError, match="No space left"):
                output.drop_errors()
        assert [answer["id"] for answer in output.answered()] == [1]
        output.write({"id": 2})
    assert path.read_text() == '{"id": 1, "error": {"code": "x"}}\n{"id":2}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]


def test_two_runs_do_not_write_one_output(tmp_path: Path) -> None:
    path = str(tmp_path / "out.jsonl")
    with Output(path), pytest.raises(UsageError, match="another run is writing"):
        Output(path, "resume")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_that_names_the_file() -> None:
    with Output("/dev/full") as output, pytest.raises(StoreError, match=r"cannot write /dev/full: No space left"):
        output.write({"id": 1})


def test_a_pipe_that_nobody_reads_is_a_broken_pipe() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Output(f"/dev/fd/{writing}") as output, pytest.raises(BrokenPipeError):
        output.write({"id": 1})
    os.close(writing)


@pytest.mark.parametrize("where", ["folder", "missing/out.jsonl"])
def test_an_output_that_cannot_be_opened_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=f"cannot write .*{where}: "):
        Output(str(tmp_path / where))


def test_a_lone_surrogate_in_an_answer_is_written_with_an_escape() -> None:
    assert json.loads(encode({"reply": "\ud800"})) == {"reply": "\ud800"}
