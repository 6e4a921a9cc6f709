"""Histories in a SQLite table: one row for each turn, so that a turn is there whole, and once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Self

from victor_dsl.components.sessions._text import UNREADABLE, from_text, shown, to_text
from victor_dsl.errors import StoreError
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.message import Message

TABLE = """
CREATE TABLE IF NOT EXISTS victor_turns (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,    -- JSON: "acme" or null
    session TEXT NOT NULL,   -- JSON: a text
    turn_id TEXT NOT NULL,
    messages TEXT NOT NULL,  -- JSON: a list in the OpenAI chat format
    UNIQUE (tenant, session, turn_id)
)
"""
LOAD = "SELECT turn_id, messages FROM victor_turns WHERE tenant = $1 AND session = $2 ORDER BY number"
APPEND = """
INSERT INTO victor_turns (tenant, session, turn_id, messages) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, session, turn_id) DO NOTHING
"""


class Turns:
    """The store. An `own` database is opened and closed with it.

    Tenant and session are keyed by their JSON: it holds any text (NULs and lone surrogates are escaped), and no tenant
    is told from a tenant that is named by the empty text.
    """

    def __init__(self, database: SqliteFile, node: str, *, own: bool = False) -> None:
        self._database = database
        self._node = node
        self._own = own

    async def __aenter__(self) -> Self:
        if getattr(self._database, "dialect", None) != "sqlite":
            raise StoreError("keeps sessions in a database of type sqlite only", node=self._node)
        if self._own:
            await self._database.__aenter__()
        try:
            await self._database.execute([(TABLE, ())])
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._own:
            await self._database.__aexit__()

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        rows = await self._database.fetch(LOAD, json.dumps(tenant), json.dumps(session))
        earlier = takewhile(lambda row: row["turn_id"] != before, rows)
        try:
            return tuple(message for row in earlier for message in from_text(row["messages"]))
        except UNREADABLE as error:
            raise StoreError(
                f"{self._database.path}: the history of session {shown(session)} cannot be read",
                node=self._node,
                hint="its rows in the table victor_turns were not written by this store",
            ) from error

    async def append(self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message]) -> None:
        values = (json.dumps(tenant), json.dumps(session), turn_id, to_text(messages))
        await self._database.execute([(APPEND, values)])
