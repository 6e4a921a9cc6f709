"""A database with the tables of tenants, as the tests of the provider and the contributor `tenant` need it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.sqlite_file import SqliteFile


@asynccontextmanager
async def migrated_database(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SqlDatabase]:
    """A new SQLite file or PostgreSQL database, as the fixture's parameter says, with empty tables."""
    database: PostgresPool | SqliteFile
    if request.param == "sqlite":
        database = SqliteFile(folder / "app.db")
    else:
        dsn = request.getfixturevalue("postgres_dsn")
        database = PostgresPool(lambda: dsn, "databases/app")
    async with database:
        await migrate(database)
        yield database
