"""Files and folders that other users of the machine can read or write are warned of, with the command that mends it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.components.middleware.harness import harness, hashed
from tests.runtime.stage import Stage
from victor_dsl.storage.permissions import exposure, make_private_folder
from victor_dsl.storage.sqlite_file import SqliteFile

KEY = "vk_of-acme-and-ann-0123456789"


@pytest.mark.parametrize(
    ("mode", "private", "can"),
    [
        (0o600, True, None),
        (0o711, True, None),
        (0o640, True, "read"),
        (0o604, True, "read"),
        (0o644, False, None),
        (0o620, False, "write"),
        (0o602, True, "write"),
        (0o666, True, "read and write"),
        (0o666, False, "write"),
    ],
)
def test_what_others_can_do_is_told_and_the_command_mends_it(
    mode: int, private: bool, can: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "it's a file.yml"
    path.touch()
    path.chmod(mode)
    problem = exposure(path, path.name, private=private)
    if can is None:
        assert problem is None
        return
    assert problem is not None
    told, command = problem.split("; run: ")
    assert told == f"users other than its owner can {can} 'it's a file.yml'"
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True)
    assert exposure(path, path.name, private=private) is None


async def test_a_database_that_others_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "new" / "app.db"
    async with SqliteFile(path):
        assert caplog.text == ""
    path.chmod(0o644)
    async with SqliteFile(path):
        assert f"can read '{path}'; run: chmod 600 {path}" in caplog.text


@pytest.mark.parametrize(("mode", "is_told"), [(0o755, False), (0o775, True), (0o757, True)])
async def test_a_folder_of_state_that_others_can_write_is_warned_of(
    mode: int, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / ".victor"
    state.mkdir()
    state.chmod(mode)
    async with Stage(tmp_path).orchestrator("models: {main: {type: echo}}"):
        pass
    assert (f"can write '{state}'; run: chmod go-w {state}" in caplog.text) == is_told


async def test_a_file_of_keys_that_others_can_write_or_read_is_reported(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yml"
    keys.write_text(f'keys: [{{key_hash: "{hashed(KEY)}"}}]')
    reported = {}
    for mode in (0o600, 0o644, 0o606):
        keys.chmod(mode)
        async with harness("auth", tmp_path, keys=str(keys)) as guard:
            reported[mode] = [message for message, _ in guard.reports]
    assert reported == {
        0o600: [],
        0o644: ["users other than its owner can read 'keys.yml'; run: chmod 600 keys.yml"],
        0o606: ["users other than its owner can read and write 'keys.yml'; run: chmod 600 keys.yml"],
    }


def test_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    make_private_folder(tmp_path / "a" / "b")
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]
