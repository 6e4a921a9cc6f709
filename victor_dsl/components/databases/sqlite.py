"""The database that is one SQLite file."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import DatabaseConfig, FilePath
from victor_dsl.language.kinds import SqlDatabase


class Config(DatabaseConfig):
    """Keeps rows in one SQLite file; there is nothing to install.

    The file is made when it is not there, readable by its owner alone. It is in WAL mode, so that several processes
    of one machine may use it at once; a file system of the network will not do.
    """

    dialect: ClassVar[str | None] = "sqlite"

    path: Annotated[str, FilePath()] = Field(
        description="The file, relative to the spec. `:memory:` is a database that ends with the process.",
        examples=[".victor/app.db", ":memory:"],
    )
    readers: int = Field(
        2, ge=1, le=64, description="How many statements that only read may run at once. The default is 2."
    )
    busy_timeout_seconds: float = Field(
        5.0, ge=0, description="How long a write waits for another process to end its own. The default is 5 seconds."
    )


EXAMPLE = "{type: sqlite, path: .victor/app.db}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[SqlDatabase]:
    """The database, opened when it is entered."""
    from victor_dsl.storage.sqlite_file import MEMORY, SqliteFile

    path = MEMORY if Path(config.path).name == MEMORY else config.path  # paths are made absolute, this one too
    return SqliteFile(path, readers=config.readers, busy_timeout_s=config.busy_timeout_seconds)
