"""The session store in a PostgreSQL database."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, SessionConfig
from victor_dsl.language.kinds import SessionStore


class Config(SessionConfig):
    """Keeps histories in PostgreSQL, so that any number of processes and machines share them.

    A turn is written whole, in one transaction, and only once however often it is tried. `victor db migrate` makes the
    tables `sessions` and `session_messages`; row-level security shows a turn those of its own tenant alone.
    """

    database: Annotated[str, Ref("databases", ("postgres",))] = Field(
        description="The database, of type `postgres`, to keep them in.", examples=["app"]
    )


EXAMPLE = "{type: postgres, database: app}"


def build(config: Config, context: Context) -> SessionStore:
    """The store; nothing is asked of the database before the first turn."""
    from victor_dsl.components.sessions._postgres_turns import PostgresTurns

    return PostgresTurns(context.live(config.database), context.node)
