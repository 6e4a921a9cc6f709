"""A folder of segments: written in order, read while it grows, freed, and never full for what has begun."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from victor_dsl.storage.journal import Cursor, Disk, Position, Reader, Writer, cursors, own_folder, unlocked_folders
from victor_dsl.storage.journal.segments import numbers, path_of

SMALL = 256


class FullDisk(Disk):
    """A disk that is full from the moment it is told."""

    is_full = False

    def create(self, path: Path, size: int) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(path, size)


START = Position(0, 0)


def read(folder: Path, position: Position = START, *, live: bool = True) -> list[bytes]:
    return [payload for _, payload in Reader(folder, position, live=live)]


@pytest.fixture
def disk() -> FullDisk:
    return FullDisk()


@pytest.fixture
def writer(tmp_path: Path, disk: FullDisk) -> Iterator[Writer]:
    writer = Writer(tmp_path, disk, segment_bytes=SMALL)
    yield writer
    writer.close()


def test_records_are_read_in_order_over_segments(writer: Writer, tmp_path: Path) -> None:
    records = [b"%03d" % number for number in range(100)]
    positions = [writer.append(record) for record in records]
    assert positions == sorted(set(positions))
    assert len(numbers(tmp_path)) > 5
    assert read(tmp_path) == records
    assert read(tmp_path, positions[41]) == records[42:]
    writer.close()
    assert read(tmp_path, live=False) == records


def test_a_reader_goes_on_where_the_writer_appends(writer: Writer, tmp_path: Path) -> None:
    reader = Reader(tmp_path, live=True)
    found = []
    for number in range(60):
        writer.append(b"%d" % number)
        found += [payload for _, payload in reader.read(3)]
    assert found == [b"%d" % number for number in range(60)]
    assert reader.damaged == 0


def test_a_record_that_is_longer_than_a_segment_has_one_of_its_own(writer: Writer, tmp_path: Path) -> None:
    records = [b"a", b"b" * 5 * SMALL, b"c", b"d" * 3 * SMALL, b"e"]
    for record in records:
        writer.append(record)
    assert read(tmp_path) == records


def test_segments_that_all_have_read_are_removed(writer: Writer, tmp_path: Path) -> None:
    positions = [writer.append(b"x" * 50) for _ in range(40)]
    writer.free(positions[20])
    assert numbers(tmp_path)[0] == positions[20].segment
    assert len(read(tmp_path, positions[20])) == 19


def test_what_is_under_way_is_written_on_a_full_disk(writer: Writer, disk: FullDisk, tmp_path: Path) -> None:
    disk.is_full = True
    written = 0
    while not writer.is_full:
        writer.append(b"x" * 50)
        written += 1
    writer.append(b"one more")  # into the reserve, which is now in use
    assert read(tmp_path) == [b"x" * 50] * written + [b"one more"]
    with pytest.raises(OSError, match="No space left"):
        writer.append(b"x" * SMALL)


def test_a_journal_goes_on_when_the_disk_has_room_again(writer: Writer, disk: FullDisk, tmp_path: Path) -> None:
    disk.is_full = True
    while not writer.is_full:
        writer.append(b"x" * 50)
    assert not writer.reserve()
    disk.is_full = False
    assert writer.reserve()
    writer.append(b"again")
    assert read(tmp_path)[-1] == b"again"


@pytest.mark.parametrize("tear", range(0, 70, 3))
def test_a_torn_slot_of_a_cursor_is_no_loss(tmp_path: Path, tear: int) -> None:
    cursor = Cursor(tmp_path, "exporters/a")
    for offset in range(10, 60, 10):
        cursor.move(Position(3, offset))
    cursor.close()
    content = bytearray(cursor.path.read_bytes())
    if tear < len(content):
        content[tear] ^= 0x11
    cursor.path.write_bytes(content)
    found = cursors(tmp_path)["exporters/a"]
    assert found.position in (Position(3, 40), Position(3, 50))
    found.move(Position(3, 60))
    found.close()
    again = Cursor(tmp_path, "exporters/a")
    assert again.position == Position(3, 60)
    again.remove()
    assert cursors(tmp_path) == {}


def test_a_folder_is_adopted_once_and_only_after_its_process_has_ended(tmp_path: Path) -> None:
    mine = own_folder(tmp_path / "journal", "1")
    assert list(unlocked_folders(tmp_path / "journal")) == []
    mine.release()
    (adopted,) = unlocked_folders(tmp_path / "journal")
    assert adopted.path == mine.path
    assert list(unlocked_folders(tmp_path / "journal")) == []
    adopted.remove()
    assert not mine.path.exists()


def test_files_are_private(writer: Writer, tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "journal", "1")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    writer.append(b"x")
    Cursor(tmp_path, "a").close()
    for path in (path_of(tmp_path, 1), tmp_path / "a.cursor", folder.path / "lock"):
        assert path.stat().st_mode & 0o077 == 0, path
    folder.remove()


def test_syncing_closes_full_segments(writer: Writer, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(40):
        writer.append(b"x" * 100)
    writer.sync()
    assert len(os.listdir("/proc/self/fd")) == before
    writer.close()
