"""The folders of a journal: each process writes one, and holds a lock on it while it lives."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from victor_dsl.storage.permissions import make_private_folder

try:
    import fcntl as _fcntl

    fcntl: ModuleType | None = _fcntl
except ImportError:  # Windows has none: there is no journal
    fcntl = None

LOCK = "lock"
REMOVED = ".removed-"
"""How the names of folders begin that are being removed."""


class Folder:
    """A locked folder. The operating system releases the lock when the process ends, however it ends."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def remove(self) -> None:
        """Removes the folder with all in it, and releases it. Raises OSError.

        It gets another name first, so that nobody adopts what is left where this process dies in between.
        """
        try:
            hidden = self.path.with_name(f"{REMOVED}{self.path.name}")
            self.path.rename(hidden)
            shutil.rmtree(hidden)
        finally:
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
    try:
        lock = _locked(new)
        assert lock is not None, "the folder is new"
        path = journal / name
        new.rename(path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return Folder(path, lock)


def unlocked_folders(journal: Path, failed: Callable[[Path, OSError], object] = lambda *_: None) -> Iterator[Folder]:
    """The folders whose writers have ended; each is locked now, for the caller.

    `failed` takes a folder that cannot be locked, such as one of another user. Raises OSError.
    """
    for path in journal.glob(f"{REMOVED}*"):  # its process died while it removed it
        shutil.rmtree(path, ignore_errors=True)
    for path in all_folders(journal):
        try:
            lock = _locked(path)
        except FileNotFoundError:  # another process has just removed it
            continue
        except OSError as error:
            failed(path, error)
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
    if fcntl is None:
        raise OSError(errno.ENOTSUP, "this system has no locks of files")
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
