"""The session store in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Annotated

from attrs import frozen
from pydantic import Field

from victor_dsl.components.stored_turns import messages_to_text, read_history, session_key
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, SessionConfig
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.storage.tenant_key import storable, tenant_key
from victor_dsl.values.message import Message

LOAD = """
SELECT turn_id, messages FROM session_messages WHERE session_key = $1 AND tenant_id = $2 ORDER BY number
"""
# Locks the session's row to the end of the transaction, so that numbers are in the order in which turns become visible.
TOUCH = """
INSERT INTO sessions (session_key, tenant_id, user_id, session_id) VALUES ($1, $2, $3, $4)
ON CONFLICT (session_key) DO UPDATE SET updated_at = now()
"""
APPEND = """
INSERT INTO session_messages (session_key, tenant_id, turn_id, messages) VALUES ($1, $2, $3, $4)
ON CONFLICT (session_key, turn_id) DO NOTHING
"""


class Config(SessionConfig):
    """Stores histories in PostgreSQL, so that any number of processes and machines share them.

    A turn is stored whole, in one transaction, and only once even if it is retried. `victor db migrate` creates the tables
    `sessions` and `session_messages`; with row-level security, a turn sees only the histories of its own tenant.
    """

    database: Annotated[str, Ref("databases", ("postgres",))] = Field(
        description="The database, of type `postgres`.", examples=["app"]
    )


EXAMPLE = "{type: postgres, database: app}"


def build(config: Config, context: Context) -> PostgresSessions:
    """The store; it first connects in the first turn. Raises StoreError for another type of database."""
    database = context.live(config.database)
    if getattr(database, "dialect", None) != "postgres":
        raise StoreError("stores sessions in a database of type postgres only", node=context.node)
    return PostgresSessions(database, context.node)


@frozen
class PostgresSessions:
    """Histories in two tables: one row for each session, and one for each turn."""

    database: SqlDatabase
    node: str

    async def load(
        self, tenant: str | None, session: str, before: str | None = None, *, user: str | None = None
    ) -> tuple[Message, ...]:
        database = self.database.for_tenant(tenant)
        rows = await database.fetch(LOAD, session_key(tenant, session, user), tenant_key(tenant))
        end = None if before is None else storable(before)
        turns = [row["messages"] for row in takewhile(lambda row: row["turn_id"] != end, rows)]
        hint = "its rows in the table session_messages were not written by this store"
        return read_history(turns, session, node=self.node, hint=hint)

    async def append(
        self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message], *, user: str | None = None
    ) -> None:
        key, owner = session_key(tenant, session, user), tenant_key(tenant)
        whose = None if user is None else storable(user)
        await self.database.for_tenant(tenant).execute([
            (TOUCH, (key, owner, whose, storable(session))),
            (APPEND, (key, owner, storable(turn_id), messages_to_text(messages))),
        ])  # fmt: skip
