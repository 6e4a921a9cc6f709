"""The output of a batch: whole JSON lines, one for each request, also after a kill and a resume."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from victor_dsl.errors import StoreError, UsageError

if sys.platform != "win32":
    import fcntl

Mode = Literal["new", "overwrite", "resume"]


class Output:
    """An open file of JSON lines, each written whole or not at all. Use it as a context manager.

    `-` is standard output. A regular file is locked while it is open, so that two runs cannot mix their lines.
    Raises UsageError if the file exists or is in use, StoreError if the system does not let it be written.
    """

    def __init__(self, path: str, mode: Mode = "new") -> None:
        self.path = path
        self.name = "standard output" if path == "-" else path
        self._fd = 1 if path == "-" else _open(path, mode)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode) and path != "-"
        if self._regular:
            try:
                self._lock()
            except UsageError:
                os.close(self._fd)
                raise
            if mode == "overwrite":
                os.ftruncate(self._fd, 0)
            self._end = _whole_length(self._fd)
            os.ftruncate(self._fd, self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.path != "-":
            os.close(self._fd)

    def answered(self) -> Iterator[dict[str, Any]]:
        """The objects that are in the file already, in order. Raises UsageError at a line that is not a reply."""
        return (answer for _, answer in self._lines())

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Every line of the file, as it is written and as an object."""
        if not self._regular:
            return
        with Path(self.path).open("rb") as file:
            for number, text in enumerate(file, start=1):
                try:
                    answer = orjson.loads(text)
                except orjson.JSONDecodeError:
                    answer = None
                if not isinstance(answer, dict) or "id" not in answer:
                    raise UsageError(
                        f"{self.name}:{number} is not a reply line; only the output of an earlier run can be resumed"
                    )
                yield text, answer

    def drop_errors(self) -> None:
        """Leaves the answers without an error, in a new file that takes the old one's place: a kill leaves one or the other.

        Raises UsageError as `answered` does, StoreError if the new file cannot be written; then the old one stays.
        """
        target = Path(os.path.realpath(self.path))
        new = target.with_name(f".{target.name}.without-errors")
        old = self._fd
        try:
            self._fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
            try:
                os.chmod(new, stat.S_IMODE(os.fstat(old).st_mode))
                _lock(self._fd)
                with os.fdopen(os.dup(self._fd), "wb") as file:
                    file.writelines(text for text, answer in self._lines() if answer.get("error") is None)
                os.fsync(self._fd)
                os.replace(new, target)
            except BaseException:
                os.close(self._fd)
                new.unlink(missing_ok=True)
                self._fd = old
                raise
        except OSError as error:
            raise StoreError(f"cannot write {new}: {error.strerror}") from error
        os.close(old)
        self._end = os.lseek(self._fd, 0, os.SEEK_END)

    def write(self, line: Mapping[str, Any]) -> None:
        """Writes one line, before it returns; a slow reader of a pipe slows the run down.

        Raises StoreError if that fails, after cutting off what was written of the line, and BrokenPipeError if the
        reader of a pipe has gone.
        """
        rest = memoryview(encode(line))
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            if self._regular:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._end)
            raise StoreError(f"cannot write {self.name}: {error.strerror}") from error
        if self._regular:
            self._end = os.lseek(self._fd, 0, os.SEEK_CUR)

    def _lock(self) -> None:
        try:
            _lock(self._fd)
            replaced = not os.path.samestat(os.fstat(self._fd), Path(self.path).stat())  # by `drop_errors`
        except (BlockingIOError, FileNotFoundError):
            replaced = True
        if replaced:
            raise UsageError(f"another run is writing {self.name}")


def encode(line: Mapping[str, Any]) -> bytes:
    """One JSON line. Lone surrogates, which UTF-8 does not have, are written as escapes."""
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(line, default=str).encode() + b"\n"


def _lock(fd: int) -> None:
    """Locks a file. Raises BlockingIOError where another run has it; without locks in a file system the user must take care."""
    if sys.platform != "win32":
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass


def _open(path: str, mode: Mode) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        if mode == "new" and not _special(path):
            flags |= os.O_EXCL
        elif _special(path):
            flags = os.O_WRONLY
        fd = os.open(path, flags, 0o666)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already; --resume continues it, --overwrite replaces it") from error
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    if not _special(path):
        os.lseek(fd, 0, os.SEEK_END)
    return fd


def _special(path: str) -> bool:
    """Whether the path is a pipe or a device, which has no content that could be overwritten."""
    try:
        return not stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return False


def _whole_length(fd: int) -> int:
    """The length up to and including the last line break, which becomes the file's position."""
    end = os.lseek(fd, 0, os.SEEK_END)
    while end:
        start = max(0, end - (1 << 16))
        os.lseek(fd, start, os.SEEK_SET)
        block = os.read(fd, end - start)
        if (at := block.rfind(b"\n")) >= 0:
            return os.lseek(fd, start + at + 1, os.SEEK_SET)
        end = start
    return os.lseek(fd, 0, os.SEEK_SET)
