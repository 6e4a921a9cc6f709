"""Dead letters: events that could not be delivered, stored with the reason in the folder of local state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from victor_dsl.language.kinds import Exporter
from victor_dsl.runtime.delivery.storing import RefusedEvent, store
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.event import Event, rfc3339

FILE = "dead-letters.db"
MOST_PAGES = 65_536
"""The most pages of 4 KiB in the file: 256 MiB. When it is full, further letters are refused."""
LONGEST_EVENT = 16 * 1024 * 1024
"""An event whose JSON is longer is stored without its data."""
LONGEST_REASON = 2_000
REPLAY_BATCH = 500

TABLE = """CREATE TABLE IF NOT EXISTS dead_letters (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    exporter TEXT NOT NULL,
    event_id TEXT NOT NULL,
    put_aside TEXT NOT NULL,
    reason TEXT NOT NULL,
    event TEXT NOT NULL,
    UNIQUE (exporter, event_id)
)"""
PUT = """INSERT INTO dead_letters (exporter, event_id, put_aside, reason, event) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (exporter, event_id) DO UPDATE SET put_aside = excluded.put_aside, reason = excluded.reason"""
ROWS = """SELECT number, exporter, put_aside, reason, event FROM dead_letters
WHERE number > $1 AND ($2 IS NULL OR exporter = $2) AND ($3 IS NULL OR number IN (SELECT value FROM json_each($3)))
ORDER BY number LIMIT $4"""


@frozen
class DeadLetter:
    """One event that an exporter did not store. `number` identifies it; `put_aside` is a time in RFC 3339."""

    number: int
    exporter: str
    put_aside: str
    reason: str
    event: Event

    def as_json(self) -> dict[str, Any]:
        """The letter as `victor dead-letters show` prints it; `event` follows `schemas/event.schema.json`."""
        return {
            "number": self.number,
            "exporter": self.exporter,
            "put_aside": self.put_aside,
            "reason": self.reason,
            "event": self.event.as_json(),
        }


@frozen
class Replayed:
    """The result of a replay; `refusals` are the events refused again, each with its newer reason."""

    delivered: int
    refusals: tuple[RefusedEvent, ...]


class DeadLetters:
    """The letters in one folder of state. Several processes may share it; the first letter makes the file."""

    def __init__(self, state: Path) -> None:
        self.path = state / FILE
        self._file: SqliteFile | None = None
        self._opening = asyncio.Lock()

    async def put(self, exporter: str, refusals: Iterable[RefusedEvent], now: float) -> None:
        """Stores the events, all or none; one that is there already gets the newer reason. Raises StoreError."""
        rows = [
            (PUT, (exporter, _text(one.event.id), rfc3339(now), _text(one.reason)[:LONGEST_REASON], _json(one.event)))
            for one in refusals
        ]
        await (await self._open()).execute(rows)

    async def read(
        self, *, exporter: str | None = None, numbers: Sequence[int] | None = None, after: int = 0, most: int = 500
    ) -> list[DeadLetter]:
        """Letters in the order of their numbers, from after one on; of one exporter, or of these numbers.

        Raises StoreError.
        """
        if not self.path.exists():
            return []
        wanted = None if numbers is None else json.dumps(list(numbers))
        rows = await (await self._open()).fetch(ROWS, after, exporter, wanted, most)
        return [_letter(row) for row in rows]

    async def remove(self, numbers: Iterable[int]) -> None:
        """Deletes letters. Raises StoreError."""
        gone = json.dumps(list(numbers))
        sql = "DELETE FROM dead_letters WHERE number IN (SELECT value FROM json_each($1))"
        await (await self._open()).execute([(sql, (gone,))])

    async def close(self) -> None:
        """Closes the file if it was opened."""
        if self._file is not None:
            file, self._file = self._file, None
            await file.__aexit__()

    async def replay(self, exporter: Exporter, node: str, numbers: Sequence[int] | None, now: float) -> Replayed:
        """Delivers an exporter's letters again, all or these numbers. Raises StoreError if its store is away.

        An event that the store has already counts once, so that an interrupted replay may be started again.
        """
        delivered = after = 0
        refused: list[RefusedEvent] = []
        while batch := await self.read(exporter=node, numbers=numbers, after=after, most=REPLAY_BATCH):
            after = batch[-1].number
            again = await store(exporter, [letter.event for letter in batch])
            ids = {refusal.event.id for refusal in again}
            await self.put(node, again, now)
            await self.remove([letter.number for letter in batch if letter.event.id not in ids])
            delivered += len(batch) - len(again)
            refused += again
        return Replayed(delivered, tuple(refused))

    async def _open(self) -> SqliteFile:
        async with self._opening:
            if self._file is None:
                file = SqliteFile(self.path)
                await file.__aenter__()
                try:
                    await file.fetch(f"PRAGMA max_page_count = {MOST_PAGES}")
                    await file.execute([(TABLE, ())])
                except BaseException:
                    await file.__aexit__()
                    raise
                self._file = file
            return self._file


def _json(event: Event) -> str:
    """The event as JSON in ASCII, so that any text can be stored. NaN is written as Python reads it."""
    about = event.as_json()
    try:
        text = json.dumps(about, default=str)
    except (RecursionError, ValueError, TypeError) as error:
        return json.dumps({**about, "data": {"omitted": f"the data cannot be written as JSON: {error}"}}, default=str)
    if len(text) > LONGEST_EVENT:
        return json.dumps({**about, "data": {"omitted": f"{len(text)} characters of JSON"}}, default=str)
    return text


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    event = json.loads(row["event"])
    return DeadLetter(
        number=row["number"],
        exporter=row["exporter"],
        put_aside=row["put_aside"],
        reason=row["reason"],
        event=Event(**{**event, "timestamp": datetime.fromisoformat(event["timestamp"]).timestamp()}),
    )
