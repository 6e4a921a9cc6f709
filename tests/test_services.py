"""The servers that tests use: real, apart, and there again after a test stopped them."""

from __future__ import annotations

import asyncpg
import pytest
import redis.exceptions
from redis.asyncio import Redis

from tests.services import PostgresServer, RedisServer


async def test_postgresql_is_real_and_empty_and_its_user_no_superuser(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert not await connection.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    await connection.execute("CREATE TABLE kept (a int)")
    await connection.close()


async def test_postgresql_can_be_stopped_and_comes_back(postgres: PostgresServer, postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    postgres.stop()
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError)):
        await connection.fetch("SELECT 1")
    postgres.start()
    again = await asyncpg.connect(postgres_dsn)
    assert await again.fetchval("SELECT 1") == 1
    await again.close()


async def test_redis_can_be_killed_and_comes_back(redis_server: RedisServer, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        await client.set("a", "b")
        redis_server.stop()
        with pytest.raises(redis.exceptions.ConnectionError):
            await client.get("a")
        redis_server.start()
        assert await client.get("a") is None
