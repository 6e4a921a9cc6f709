"""Histories in two tables of PostgreSQL: one row for each session, and one for each turn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from victor_dsl.components.sessions._text import UNREADABLE, from_text, session_key, shown, to_text
from victor_dsl.errors import StoreError
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.storage.tenant_key import storable, tenant_key
from victor_dsl.values.message import Message

LOAD = """
SELECT turn_id, messages FROM session_messages WHERE session_key = $1 AND tenant_id = $2 ORDER BY number
"""
# Locks the session's row to the end of the transaction, so that numbers are in the order in which turns become visible.
TOUCH = """
INSERT INTO sessions (session_key, tenant_id, session_id) VALUES ($1, $2, $3)
ON CONFLICT (session_key) DO UPDATE SET updated_at = now()
"""
APPEND = """
INSERT INTO session_messages (session_key, tenant_id, turn_id, messages) VALUES ($1, $2, $3, $4)
ON CONFLICT (session_key, turn_id) DO NOTHING
"""


class PostgresTurns:
    """The store. Raises StoreError for a database of another type."""

    def __init__(self, database: Any, node: str) -> None:
        if getattr(database, "dialect", None) != "postgres":
            raise StoreError("keeps sessions in a database of type postgres only", node=node)
        self._database: SqlDatabase = database
        self._node = node

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        own = self._database.for_tenant(tenant)
        rows = await own.fetch(LOAD, session_key(tenant, session), tenant_key(tenant))
        asking = None if before is None else storable(before)
        earlier = takewhile(lambda row: row["turn_id"] != asking, rows)
        try:
            return tuple([message for row in earlier for message in from_text(row["messages"])])
        except UNREADABLE as error:
            raise StoreError(
                f"the history of session {shown(session)} cannot be read",
                node=self._node,
                hint="its rows in the table session_messages were not written by this store",
            ) from error

    async def append(self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message]) -> None:
        key, owner = session_key(tenant, session), tenant_key(tenant)
        await self._database.for_tenant(tenant).execute([
            (TOUCH, (key, owner, storable(session))),
            (APPEND, (key, owner, storable(turn_id), to_text(messages))),
        ])  # fmt: skip
