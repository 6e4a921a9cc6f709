"""The ids of a run's lines: those read so far, and those answered by an earlier run."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import orjson

from victor_dsl.errors import RequestError, StoreError, UsageError
from victor_dsl.workbench.batch.lines import BadLine, Line, LineId

DIGEST_BYTES = 8
RECORD_BYTES = 2 * DIGEST_BYTES
CHUNK_BYTES = 4096 * RECORD_BYTES


class RepeatedId(RequestError):
    """The line's id was used by an earlier line."""

    code = "repeated-id"


class LineDigests:
    """The digests of the lines that a run has answered, in a file: for each, that of its id and that of its content.

    Use it as a context manager. Raises StoreError where the file cannot be opened or written.
    """

    def __init__(self, path: Path, *, resumed: bool) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("r+b" if resumed and path.exists() else "w+b", buffering=0)
            size = self._file.seek(0, os.SEEK_END)
            self._file.seek(size - size % RECORD_BYTES)  # a kill may have torn the last one
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """The digests in the file, each after that of the line's id."""
        end = self._file.tell()
        self._file.seek(0)
        while self._file.tell() < end:
            chunk = self._file.read(min(CHUNK_BYTES, end - self._file.tell()))
            for start in range(0, len(chunk), RECORD_BYTES):
                yield chunk[start : start + DIGEST_BYTES], chunk[start + DIGEST_BYTES : start + RECORD_BYTES]

    def add(self, line: Line) -> None:
        """Adds a line before its answer is written, so that no answer is without it."""
        try:
            self._file.write(_short_digest(_key(line.id).encode()) + content_digest(line))
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error


class Ledger:
    """The ids of a run, in a temporary SQLite database, which spills to disk when there are many.

    It starts with the answers that are in the output already, and with the digests of their lines where these are to be
    compared. Use it as a context manager.
    """

    def __init__(self, answers: Iterable[Mapping[str, Any]] = (), digests: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = off")
        self._rows.execute("CREATE TABLE seen (id PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._rows.execute("CREATE TABLE answered (id PRIMARY KEY) WITHOUT ROWID")
        self._rows.execute("CREATE TABLE digests (id PRIMARY KEY, digest BLOB) WITHOUT ROWID")
        self._rows.execute("BEGIN")
        self._rows.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?)", digests)
        self.errors = 0
        """How many of those answers are errors."""
        for answer in answers:
            error = answer.get("error")
            self.errors += error is not None
            nameless = isinstance(error, dict) and error.get("code") in (BadLine.code, RepeatedId.code)
            key = _line_key(error.get("line")) if error and nameless else _key(answer["id"])
            self._rows.execute("INSERT OR IGNORE INTO answered VALUES (?)", (key,))
        self.already = self._rows.execute("SELECT count(*) FROM answered").fetchone()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def admit(self, line: Line) -> Line | None:
        """The line if it is to be answered, with an error if an earlier line has its id; None if it was answered before.

        Call it once for each line, in the order of the input. Raises UsageError for a line that has changed since its answer.
        """
        key = _line_key(line.number) if isinstance(line.error, BadLine) else _key(line.id)
        try:
            self._rows.execute("INSERT INTO seen VALUES (?, ?)", (key, line.number))
        except sqlite3.IntegrityError:
            first = self._rows.execute("SELECT line FROM seen WHERE id = ?", (key,)).fetchone()[0]
            key = _line_key(line.number)
            error = RepeatedId(f"the id {orjson.dumps(line.id).decode()} is already that of line {first}")
            line = Line(line.number, line.id, error=error, size=line.size)
        if self.already and self._rows.execute("SELECT 1 FROM answered WHERE id = ?", (key,)).fetchone():
            self._check_unchanged(line, key)
            return None
        return line

    def _check_unchanged(self, line: Line, key: str) -> None:
        id = _short_digest(key.encode())
        found = self._rows.execute("SELECT digest FROM digests WHERE id = ?", (id,)).fetchone()
        if found is not None and found[0] != content_digest(line):
            message = f"line {line.number} of the input has changed since it was answered"
            raise UsageError(message, hint="--force leaves its answer as it is; --overwrite answers all lines anew")


def content_digest(line: Line) -> bytes:
    """What a line says, in a few bytes, whatever its white space and the order of its keys."""
    return _short_digest(orjson.dumps(line.data, option=orjson.OPT_SORT_KEYS))


def _short_digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def _line_key(number: object) -> str:
    """The key of a line without an id of its own: a bad line, or one that repeats an id."""
    return f"line {number}"


def _key(id: LineId) -> str:
    """The key of an id; 7 and "7" have different ones."""
    return f"id {orjson.dumps(id).decode()}"
