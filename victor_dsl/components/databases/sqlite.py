"""A SQLite database in one file."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import DatabaseConfig, FilePath
from victor_dsl.language.kinds import SqlDatabase


class Config(DatabaseConfig):
    """A SQLite database in one file, with nothing to install.

    A missing file is created, readable by its owner only. It is in WAL mode, so that several processes on one machine
    may use it at once; it does not work on a network file system.
    """

    dialect: ClassVar[str | None] = "sqlite"

    path: Annotated[str, FilePath()] = Field(
        description="The file, relative to the spec. `:memory:` is a database that ends with the process.",
        examples=[".victor/app.db", ":memory:"],
    )
    readers: int = Field(2, ge=1, le=64, description="How many reading statements may run at once. The default is 2.")
    busy_timeout_seconds: float = Field(
        5.0, ge=0, description="How long a write waits while another process writes. The default is 5 seconds."
    )


EXAMPLE = "{type: sqlite, path: .victor/app.db}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[SqlDatabase]:
    """The database, opened when it is entered."""
    from victor_dsl.storage.sqlite_file import MEMORY, SqliteFile

    path = MEMORY if Path(config.path).name == MEMORY else config.path  # every path was made absolute, this one too
    return SqliteFile(path, readers=config.readers, busy_timeout_s=config.busy_timeout_seconds, node=context.node)
