"""The Redis database: commands, scripts, and a server that dies and returns."""

from __future__ import annotations

import asyncio
import builtins
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.context import surroundings
from tests.services import PASSWORD, RedisServer
from victor_dsl.components.databases import redis as databases_redis
from victor_dsl.errors import ComponentError, StoreError
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import RedisDatabase


@asynccontextmanager
async def opened(url: str, folder: Path, **config: Any) -> AsyncIterator[RedisDatabase]:
    context = surroundings(folder, "databases/cache", environment={"URL": url}).context
    built = databases_redis.build(databases_redis.Config(url=Secret("env", "URL"), **config), context)
    async with built as live:
        assert isinstance(live, RedisDatabase)
        yield live


async def test_commands_and_scripts_are_answered(redis_url: str, tmp_path: Path) -> None:
    async with opened(redis_url, tmp_path) as database:
        await database.command("SET", "a\0b", "\N{SNOWMAN}")
        assert await database.command("GET", "a\0b") == "\N{SNOWMAN}".encode()
        script = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
        given = await asyncio.gather(*[database.run_script(script, ["n"], ["2"]) for _ in range(3)])
        assert sorted(given) == [2, 4, 6], "each runs alone, in whatever order"


async def test_an_outage_of_the_server_is_an_error_until_its_return(
    redis_server: RedisServer, redis_url: str, tmp_path: Path
) -> None:
    async with opened(redis_url, tmp_path) as database:
        await database.command("SET", "a", "b")
        redis_server.stop()
        with pytest.raises(StoreError, match=r"cannot reach Redis at 127\.0\.0\.1:\d+") as told:
            await database.command("GET", "a")
        assert told.value.transient
        assert PASSWORD not in str(told.value)
        redis_server.start()
        assert await database.command("GET", "a") is None


async def test_commands_wait_for_a_free_connection(redis_url: str, tmp_path: Path) -> None:
    async with opened(redis_url, tmp_path, max_connections=2) as database:
        assert await asyncio.gather(*[database.command("ECHO", "a") for _ in range(50)]) == [b"a"] * 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda url: url.replace(PASSWORD, "wrong-" + PASSWORD), "check the user and password in the url"),
        (lambda url: url.replace("redis:", "http:"), "not a Redis URL"),
        (lambda url: PASSWORD, "not a Redis URL"),
        (lambda url: url.replace("@127", "@[127"), "not a Redis URL"),
    ],
    ids=["password", "scheme", "no url", "address"],
)
async def test_a_wrong_url_is_reported_without_its_password(
    change: Any, message: str, redis_url: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=message) as told:
        async with opened(change(redis_url), tmp_path) as database:
            await database.command("GET", "a")
    assert PASSWORD not in str(told.value)


async def test_a_command_that_redis_refuses_is_an_error(redis_url: str, tmp_path: Path) -> None:
    async with opened(redis_url, tmp_path) as database:
        with pytest.raises(StoreError, match="databases/cache: unknown command"):
            await database.command("NOSUCH")


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "redis":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return really(name, *rest)

    monkeypatch.delitem(sys.modules, "victor_dsl.storage.redis_client", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ComponentError, match=r"needs the package redis .*pip install 'victor_dsl\[redis\]'"):
        databases_redis.build(databases_redis.Config(url=Secret("env", "URL")), surroundings(tmp_path).context)


async def test_a_closed_database_is_an_error(redis_url: str, tmp_path: Path) -> None:
    async with opened(redis_url, tmp_path) as database:
        pass
    with pytest.raises(StoreError, match="the database is closed"):
        await database.command("GET", "a")
