"""The session store in a SQLite file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Self

from attrs import frozen
from pydantic import Field, model_validator

from victor_dsl.components.stored_turns import messages_to_text, read_history, unreadable
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, Ref, SessionConfig
from victor_dsl.values.message import Message

if TYPE_CHECKING:
    from victor_dsl.storage.sqlite_file import SqliteFile

TABLE = """
CREATE TABLE IF NOT EXISTS victor_turns (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,    -- JSON: "acme" or null, or with the user ["acme", "ann"]
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


class Config(SessionConfig):
    """Stores histories in a SQLite file, so that they outlive the process, and several processes share them.

    A turn is stored whole, in one transaction, and only once even if it is retried.
    """

    path: Annotated[str | None, FilePath()] = Field(
        None,
        description="The file, relative to the spec. The default is `sessions.db` in the folder of local state.",
        examples=[".victor/sessions.db"],
    )
    database: Annotated[str | None, Ref("databases", ("sqlite",))] = Field(
        None, description="A database of type `sqlite`, instead of a file of its own.", examples=["app"]
    )

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.path is not None and self.database is not None:
            raise ValueError("set either 'path' or 'database', not both")
        return self


EXAMPLE = "{type: sqlite, path: .victor/sessions.db}"


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[SqliteSessions]:
    """The store. Entering it creates the table if it is missing. Raises StoreError, also for another type of database."""
    from victor_dsl.storage.sqlite_file import SqliteFile

    async with AsyncExitStack() as stack:
        if config.database is not None:
            database = context.live(config.database)
            if getattr(database, "dialect", None) != "sqlite":
                raise StoreError("stores sessions in a database of type sqlite only", node=context.node)
        else:
            database = await stack.enter_async_context(SqliteFile(config.path or context.state / "sessions.db"))
        await database.execute([(TABLE, ())])
        yield SqliteSessions(database, context.node)


@frozen
class SqliteSessions:
    """Histories in a table with one row for each turn.

    The key of a row has owner and session as JSON, which escapes NULs and lone surrogates, and has different texts for no
    tenant and for a tenant whose id is empty.
    """

    database: SqliteFile
    node: str

    async def load(
        self, tenant: str | None, session: str, before: str | None = None, *, user: str | None = None
    ) -> tuple[Message, ...]:
        hint = f"its rows in the table victor_turns of {self.database.path} were not written by this store"
        try:
            rows = await self.database.fetch(LOAD, _owner(tenant, user), json.dumps(session))
        except StoreError as error:
            from victor_dsl.storage.sqlite_file import NOT_UTF8

            if error.message.endswith(NOT_UTF8):
                raise unreadable(session, node=self.node, hint=hint) from error
            raise
        turns = [row["messages"] for row in takewhile(lambda row: row["turn_id"] != before, rows)]
        return read_history(turns, session, node=self.node, hint=hint)

    async def append(
        self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message], *, user: str | None = None
    ) -> None:
        values = (_owner(tenant, user), json.dumps(session), turn_id, messages_to_text(messages))
        await self.database.execute([(APPEND, values)])


def _owner(tenant: str | None, user: str | None) -> str:
    return json.dumps(tenant if user is None else [tenant, user])
