"""The folders of a journal: each process writes one, and holds a lock on it while it lives."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from victor_dsl.storage.permissions import make_private_folder

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows has none; there, a spec must have one process
    fcntl = None

LOCK = "lock"


class Folder:
    """A locked folder. The operating system releases the lock when the process ends, however it ends."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def remove(self) -> None:
        """Removes the folder with all in it, and then releases it. Raises OSError."""
        shutil.rmtree(self.path)
        self.release()

    def release(self) -> None:
        """Releases the lock; another process may adopt what is left."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def own_folder(journal: Path, name: str) -> Folder:
    """A new folder of this process. Raises OSError."""
    make_private_folder(journal)
    new = journal / f".{name}"  # nobody adopts a folder with a dot, so it is locked before anybody sees it
    new.mkdir(mode=0o700)
    lock = _locked(new)
    assert lock is not None, "the folder is new"
    path = journal / name
    new.rename(path)
    return Folder(path, lock)


def unlocked_folders(journal: Path) -> Iterator[Folder]:
    """The folders whose writers have ended; each is locked now, for the caller. Raises OSError."""
    for path in all_folders(journal):
        try:
            lock = _locked(path)
        except FileNotFoundError:  # another process has just removed it
            continue
        if lock is None:
            continue
        if not (path / LOCK).exists():  # removed between the two steps
            os.close(lock)
            continue
        yield Folder(path, lock)


def all_folders(journal: Path) -> list[Path]:
    """The folders of all processes, those of the earliest first. Raises OSError."""
    try:
        return sorted(path for path in journal.iterdir() if path.is_dir() and not path.name.startswith("."))
    except FileNotFoundError:
        return []


def size_of(journal: Path) -> int:
    """How many bytes the segments of all processes have. Raises OSError."""
    total = 0
    for folder in all_folders(journal):
        try:
            with os.scandir(folder) as entries:
                total += sum(entry.stat().st_size for entry in entries)
        except FileNotFoundError:
            continue
    return total


def _locked(folder: Path) -> int | None:
    """A descriptor with the folder's lock; None if another process has it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
