"""The ids of a run's lines: those read so far, and those answered by an earlier run."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Self

import orjson

from victor_dsl.errors import RequestError
from victor_dsl.workbench.batch.lines import BadLine, Line, LineId


class RepeatedId(RequestError):
    """The line's id was used by an earlier line."""

    code = "repeated-id"


class Ledger:
    """The ids of a run, in a temporary SQLite database, which spills to disk when there are many.

    It starts with the answers that are in the output already. Use it as a context manager.
    """

    def __init__(self, answers: Iterable[Mapping[str, Any]] = ()) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = off")
        self._rows.execute("CREATE TABLE seen (id PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._rows.execute("CREATE TABLE answered (id PRIMARY KEY) WITHOUT ROWID")
        self._rows.execute("BEGIN")
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

        Call it once for each line, in the order of the input.
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
            return None
        return line


def _line_key(number: object) -> str:
    """The key of a line without an id of its own: a bad line, or one that repeats an id."""
    return f"line {number}"


def _key(id: LineId) -> str:
    """The key of an id; 7 and "7" have different ones."""
    return f"id {orjson.dumps(id).decode()}"
