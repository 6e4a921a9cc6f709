"""The session store in a SQLite file."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Self

from pydantic import Field, model_validator

from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, Ref, SessionConfig
from victor_dsl.language.kinds import SessionStore


class Config(SessionConfig):
    """Keeps histories in a SQLite file, so that they outlive the process and several processes share them.

    A turn is written whole, in one transaction, and only once however often it is tried.
    """

    path: Annotated[str | None, FilePath()] = Field(
        None,
        description="The file, relative to the spec. Left out, it is `sessions.db` in the folder of local state.",
        examples=[".victor/sessions.db"],
    )
    database: Annotated[str | None, Ref("databases", ("sqlite",))] = Field(
        None,
        description="A database of type `sqlite` to keep them in, instead of a file of their own.",
        examples=["app"],
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.path is not None and self.database is not None:
            raise ValueError("give either 'path' or 'database', not both")
        return self


EXAMPLE = "{type: sqlite, path: .victor/sessions.db}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[SessionStore]:
    """The store; its table is made when it is entered."""
    from victor_dsl.components.sessions._turns import Turns
    from victor_dsl.storage.sqlite_file import SqliteFile

    if config.database is not None:
        return Turns(context.live(config.database), context.node)
    return Turns(SqliteFile(config.path or context.state / "sessions.db"), context.node, own=True)
