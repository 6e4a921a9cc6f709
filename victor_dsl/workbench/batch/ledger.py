"""Which lines a run has met and which it has answered, whatever their number."""

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
    """The ids of a run, in a temporary database that SQLite keeps in memory only as far as that is cheap.

    Built from the answers that are in the output already. Use as a context manager.
    """

    def __init__(self, answers: Iterable[Mapping[str, Any]] = ()) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = off")
        self._rows.execute("CREATE TABLE met (id PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._rows.execute("CREATE TABLE answered (id PRIMARY KEY) WITHOUT ROWID")
        self._rows.execute("BEGIN")
        for answer in answers:
            error = answer.get("error")
            nameless = isinstance(error, dict) and error.get("code") in (BadLine.code, RepeatedId.code)
            key = _line_key(error.get("line")) if error and nameless else _key(answer["id"])
            self._rows.execute("INSERT OR IGNORE INTO answered VALUES (?)", (key,))
        self.already = self._rows.execute("SELECT count(*) FROM answered").fetchone()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def admit(self, line: Line) -> Line | None:
        """The line if it is to be answered, with an error where its id is an earlier line's; None if it was answered.

        Each line is admitted once, in the order of the input.
        """
        key = _line_key(line.number) if isinstance(line.error, BadLine) else _key(line.id)
        try:
            self._rows.execute("INSERT INTO met VALUES (?, ?)", (key, line.number))
        except sqlite3.IntegrityError:
            first = self._rows.execute("SELECT line FROM met WHERE id = ?", (key,)).fetchone()[0]
            key = _line_key(line.number)
            error = RepeatedId(f"the id {orjson.dumps(line.id).decode()} is line {first}'s already")
            line = Line(line.number, line.id, error=error, size=line.size)
        if self.already and self._rows.execute("SELECT 1 FROM answered WHERE id = ?", (key,)).fetchone():
            return None
        return line


def _line_key(number: object) -> str:
    """What stands for a line whose id is not its own: a bad one, or one that repeats an id."""
    return f"line {number}"


def _key(id: LineId) -> str:
    """One text for one id; 7 and "7" are two."""
    return f"id {orjson.dumps(id).decode()}"
