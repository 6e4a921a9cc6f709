"""Values made from files."""

import os
from pathlib import Path

import pytest

from victor_dsl.storage.file_value import UNSETTLED_NS, FileValue, read, reason


def upper(data: bytes) -> list[str]:
    return [data.decode().upper()]


def age(path: Path, ns: int) -> None:
    """Moves the file's last change back, as if it were long ago."""
    os.utime(path, ns=(ns, ns))


async def test_get_returns_the_same_object_until_the_content_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    value = FileValue(path, upper, most_bytes=10)
    first = await value.get()
    age(path, 10**18)
    assert await value.get() is first
    path.write_text("one")
    assert await value.get() is first
    path.write_text("two")
    assert await value.get() == ["TWO"]


async def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    age(path, 10**18)
    value = FileValue(path, upper, most_bytes=10)
    first = await value.get()
    status = path.stat()
    with path.open("r+") as file:
        file.write("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert await value.get() is first


async def test_a_file_replaced_within_one_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    status = path.stat()
    value = FileValue(path, upper, most_bytes=10, now_ns=lambda: status.st_mtime_ns + UNSETTLED_NS)
    assert await value.get() == ["ONE"]
    path.write_text("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert await value.get() == ["TWO"]


async def test_a_file_that_went_bad_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    value = FileValue(path, upper, most_bytes=10)
    with pytest.raises(FileNotFoundError):
        await value.get()
    path.write_bytes(b"\xff")
    for _ in range(2):
        with pytest.raises(UnicodeDecodeError):
            await value.get()
    path.write_text("good")
    assert await value.get() == ["GOOD"]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        await value.get()


def test_anything_but_a_small_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("12345678901")
    for name, said in (
        ("pipe", "is not a regular file"),
        (".", "is a directory"),
        ("large", "is larger than 10 bytes"),
    ):
        with pytest.raises(OSError) as caught:
            read(tmp_path / name, 10)
        assert reason(caught.value) == said
