"""A run's record gives a line the same turn id at each attempt."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from victor_dsl.errors import StoreError
from victor_dsl.workbench.batch.run_record import RunRecord, read_record, record_path, write_record


def test_a_record_that_was_kept_gives_the_same_turn_ids(tmp_path: Path) -> None:
    path, record = record_path(tmp_path / "state", "out.jsonl"), RunRecord.new()
    assert read_record(path) is None
    write_record(path, record, "out.jsonl")
    kept = read_record(path)
    assert kept is not None
    assert kept.turn_id("a") == record.turn_id("a")
    assert kept.turn_id("a") != kept.turn_id("b")
    assert kept.turn_id(1) != kept.turn_id("1")


def test_a_line_that_is_asked_again_has_a_turn_id_of_its_own(tmp_path: Path) -> None:
    path, record = record_path(tmp_path / "state", "out.jsonl"), RunRecord.new()
    once = record.retrying(["a", 1])
    twice = once.retrying(["a"])
    ids = [record.turn_id("a"), record.turn_id("a", 1), once.turn_id("a"), once.turn_id("a", 1), twice.turn_id("a")]
    assert len(set(ids)) == len(ids)
    assert once.turn_id("b") == record.turn_id("b")
    assert twice.turn_id(1) == once.turn_id(1) != record.turn_id(1)
    write_record(path, twice, "out.jsonl")
    assert read_record(path) == twice


def test_turn_ids_are_uuids_of_version_7_and_another_run_has_others() -> None:
    one, other = RunRecord("1", 1_700_000_000.0).turn_id("a"), RunRecord("2", 1_700_000_000.0).turn_id("a")
    assert uuid.UUID(one).version == 7
    assert one != other


def test_two_outputs_of_one_name_in_two_folders_have_two_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        paths.add(record_path(tmp_path, "out.jsonl"))
    assert len(paths) == 2


def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"run": ')
    with pytest.raises(StoreError, match=r"run\.json is damaged \(remove it to go on"):
        read_record(path)


def test_a_state_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot write .*state"):
        write_record(record_path(tmp_path / "state", "out.jsonl"), RunRecord.new(), "out.jsonl")
