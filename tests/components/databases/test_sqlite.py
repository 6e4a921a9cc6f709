"""The database that is one SQLite file; what the file itself does is tested with the storage."""

from pathlib import Path

import pytest

from tests.components.context import surroundings
from victor_dsl.components.databases.sqlite import Config, build
from victor_dsl.errors import StoreError
from victor_dsl.language.kinds import SqlDatabase


async def test_rows_outlive_the_database(tmp_path: Path) -> None:
    config, context = Config(path=str(tmp_path / "deep" / "app.db")), surroundings(tmp_path).context
    async with build(config, context) as database:
        assert isinstance(database, SqlDatabase)
        assert database.dialect == "sqlite"
        await database.execute([("CREATE TABLE t (a)", ()), ("INSERT INTO t VALUES ($1)", (7,))])
    async with build(config, context) as database:
        assert await database.fetch("SELECT a FROM t WHERE a = $1", 7) == [{"a": 7}]


async def test_a_database_in_memory_ends_with_its_node(tmp_path: Path) -> None:
    config, context = Config(path=str(tmp_path / ":memory:")), surroundings(tmp_path).context
    async with build(config, context) as database:
        await database.execute([("CREATE TABLE t (a)", ())])
    async with build(config, context) as database:
        with pytest.raises(StoreError, match=":memory:: no such table: t"):
            await database.fetch("SELECT a FROM t")
    assert not list(tmp_path.glob("*"))


async def test_foreign_keys_are_enforced(tmp_path: Path) -> None:
    async with build(Config(path=":memory:"), surroundings(tmp_path).context) as database:
        await database.execute(
            [("CREATE TABLE a (id INTEGER PRIMARY KEY)", ()), ("CREATE TABLE b (a REFERENCES a)", ())]
        )
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            await database.execute([("INSERT INTO b VALUES (1)", ())])
