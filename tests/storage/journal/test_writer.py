"""A folder of segments: written in order, read while it grows, freed, and never full for what has begun."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from victor_dsl.storage.journal import (
    Cursor,
    Disk,
    Position,
    Reader,
    Writer,
    cursors,
    own_folder,
    size_of,
    trim,
    unlocked_folders,
)
from victor_dsl.storage.journal import folders as folders_module
from victor_dsl.storage.journal.folders import all_folders
from victor_dsl.storage.journal.segments import numbers, path_of

SMALL = 256


class FullDisk(Disk):
    """A disk that is full from the moment it is told."""

    is_full = False
    fault = errno.ENOSPC

    def create(self, path: Path, size: int) -> int:
        if self.is_full:
            raise OSError(self.fault, "No space left on device")
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
        found += [payload for _, payload in reader.read()]
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
    writer.append(b"x")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(40):
        writer.append(b"x" * 100)
    writer.sync()
    assert len(os.listdir("/proc/self/fd")) == before
    writer.close()


def test_a_disk_that_is_full_at_the_start_is_waited_for(disk: FullDisk, tmp_path: Path) -> None:
    disk.is_full = True
    writer = Writer(tmp_path, disk, segment_bytes=SMALL)
    assert writer.is_full
    with pytest.raises(OSError, match="No space left"):
        writer.append(b"a")
    disk.is_full = False
    assert writer.reserve()
    writer.append(b"b")
    writer.close()
    assert read(tmp_path) == [b"b"]


def test_a_folder_that_somebody_has_removed_is_no_full_disk(writer: Writer, disk: FullDisk, tmp_path: Path) -> None:
    writer.append(b"first")
    disk.is_full, disk.fault = True, errno.ENOENT
    for _ in range(4):
        writer.append(b"x" * 50)
    assert len(numbers(tmp_path)) == 2  # without a reserve
    assert not writer.is_full
    disk.is_full = False
    for _ in range(20):
        writer.append(b"y" * 50)
    assert read(tmp_path)[-20:] == [b"y" * 50] * 20


def test_space_without_records_is_given_back(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "of").mkdir()
    dead = Writer(tmp_path / "of", Disk(), segment_bytes=4096)
    dead.append(b"x" * 50)
    assert size_of(tmp_path) == 8192
    trim(tmp_path / "of")
    assert size_of(tmp_path) == len(b"x" * 50) + 19
    assert read(tmp_path / "of", live=False) == [b"x" * 50]
    dead.close()
    writer.append(b"x")
    writer.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("*.log")) == 20


def test_what_is_appended_during_a_sync_is_synced_or_left_for_the_next(tmp_path: Path) -> None:
    synced: set[int] = set()

    class Busy(Disk):
        again = True

        def sync(self, descriptor: int) -> None:
            synced.add(os.fstat(descriptor).st_ino)
            if self.again:
                self.again = False
                for _ in range(20):
                    busy.append(b"x" * 100)
            super().sync(descriptor)

    busy = Writer(tmp_path, Busy(), segment_bytes=SMALL)
    busy.append(b"x" * 100)
    busy.sync()
    busy.sync()
    begun = [path_of(tmp_path, number) for number in numbers(tmp_path)][:-1]
    assert synced >= {path.stat().st_ino for path in begun}
    busy.close()


def test_a_sync_that_fails_is_made_up_for(tmp_path: Path) -> None:
    class Faulty(Disk):
        fails = True
        synced = 0

        def sync(self, descriptor: int) -> None:
            if self.fails:
                raise OSError(errno.EIO, "Input/output error")
            self.synced += 1
            super().sync(descriptor)

    disk = Faulty()
    writer = Writer(tmp_path, disk, segment_bytes=SMALL)
    for _ in range(7):
        writer.append(b"x" * 100)
    with pytest.raises(OSError, match="Input/output"):
        writer.sync()
    disk.fails = False
    writer.sync()
    assert disk.synced == writer.position.segment
    writer.close()


def test_damage_at_the_end_of_what_was_written_is_passed(writer: Writer, tmp_path: Path) -> None:
    writer.append(b"a")
    before = writer.position
    end = writer.append(b"b")
    path = path_of(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[before.offset + 3] ^= 1
    path.write_bytes(content)
    reader = Reader(tmp_path, live=True)
    assert [payload for _, payload in reader.read(end)] == [b"a"]
    assert (reader.position, reader.damaged) == (end, 1)


def test_a_reader_does_not_pass_what_is_written_while_it_reads(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append(b"first")
    read_bytes = Path.read_bytes

    def read_and_write(path: Path) -> bytes:
        data = read_bytes(path)
        monkeypatch.undo()
        for number in range(20):
            writer.append(b"later %d" % number)
        return data

    monkeypatch.setattr(Path, "read_bytes", read_and_write)
    reader = Reader(tmp_path, live=True)
    found = [payload for _, payload in reader.read()] + [payload for _, payload in reader.read()]
    assert found == [b"first", *(b"later %d" % number for number in range(20))]


def test_a_folder_that_cannot_be_locked_does_not_hinder_others(tmp_path: Path) -> None:
    (tmp_path / "j" / "1" / "lock").mkdir(parents=True)
    own_folder(tmp_path / "j", "2").release()
    failed: list[Path] = []
    (found,) = unlocked_folders(tmp_path / "j", lambda path, _: failed.append(path))
    assert (found.path.name, [path.name for path in failed]) == ("2", ["1"])
    found.remove()


def test_nobody_adopts_a_folder_that_is_being_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_folder(tmp_path / "j", "1")

    def killed(path: Path) -> None:
        assert path.name.startswith(".")
        assert all_folders(tmp_path / "j") == []
        raise OSError(errno.EIO, "killed")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(OSError, match="killed"):
            folder.remove()
    assert list(unlocked_folders(tmp_path / "j")) == []
    assert list((tmp_path / "j").iterdir()) == []


def test_without_locks_there_is_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders_module, "fcntl", None)
    with pytest.raises(OSError, match="no locks of files"):
        own_folder(tmp_path / "j", "1")
    assert list((tmp_path / "j").iterdir()) == []
