"""A pool of connections to one PostgreSQL database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import asyncpg
from attrs import frozen

from victor_dsl.errors import StoreError
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.postgres_failures import GONE, Failures
from victor_dsl.storage.tenant_key import EVERYONE, tenant_key

CLOSING_SECONDS = 5.0
ACT_FOR = "SELECT set_config('victor.tenant', $1, true)"


@frozen
class PoolOptions:
    """How large the pool may grow and how long things may take."""

    most: int = 10
    idle_s: float = 300.0
    connect_s: float = 5.0
    statement_s: float = 30.0
    prepare: bool = True


class PostgresPool:
    """An open database. Used as an async context manager, any number of times.

    Entering it connects to nothing: a connection is made when a statement needs one. So a server that is away fails
    the statements that want it, and is found again by the next.
    """

    dialect = "postgres"

    def __init__(self, dsn: Callable[[], str], node: str, options: PoolOptions | None = None) -> None:
        self._dsn = dsn
        self._node = node
        self._options = options or PoolOptions()
        self._pool: asyncpg.Pool | None = None
        self._failures: Failures | None = None

    async def __aenter__(self) -> Self:
        dsn, options = self._dsn(), self._options
        self._failures = Failures(self._node, dsn)
        self._pool = await asyncpg.create_pool(
            dsn,
            min_size=0,  # connects to nothing yet
            max_size=options.most,
            max_inactive_connection_lifetime=options.idle_s,
            timeout=options.connect_s,
            command_timeout=options.statement_s,
            statement_cache_size=100 if options.prepare else 0,
            init=_read_jsonb,
            server_settings={"application_name": "victor"},
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await to_the_end(_close(pool))

    async def fetch(self, sql: str, *parameters: Any) -> list[Mapping[str, Any]]:
        """The rows of one statement. Raises StoreError."""
        return await self.fetch_as(None, sql, parameters)

    async def execute(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Runs all statements in one transaction, all or none of them. Raises StoreError."""
        await self.execute_as(None, statements)

    def for_tenant(self, tenant: str | None) -> ActingFor:
        """The database as row-level security shows it to that tenant; None is who has none."""
        return ActingFor(self, tenant_key(tenant))

    def for_every_tenant(self) -> ActingFor:
        """The database with the rows of all tenants."""
        return ActingFor(self, EVERYONE)

    async def fetch_as(self, key: str | None, sql: str, parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
        """The rows of one statement, which acts for the tenant of that key."""
        async with self.transaction(key) as connection:
            return [dict(row) for row in await connection.fetch(sql, *parameters)]

    async def execute_as(self, key: str | None, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Runs all statements in one transaction, which acts for the tenant of that key."""
        async with self.transaction(key) as connection:
            for sql, parameters in statements:
                await connection.execute(sql, *parameters)

    @asynccontextmanager
    async def transaction(self, key: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """A connection of asyncpg in a transaction, for what the other methods cannot say. Raises StoreError.

        `key` is that of the tenant it acts for; without one, no table of tenants shows a row.
        """
        pool, failures = self._pool, self._failures
        if pool is None or failures is None:
            raise StoreError("the database is closed", node=self._node)
        with failures.told():
            connection, transaction = await _begin(pool)
            try:
                if key is not None:
                    await connection.execute(ACT_FOR, key)
                yield connection
                await transaction.commit()
            except BaseException:
                with suppress(*GONE):  # a connection that is gone has rolled back; the first error is the one to tell
                    await transaction.rollback()
                raise
            finally:
                await pool.release(connection)


@frozen
class ActingFor:
    """A database whose every call is a transaction that acts for the tenant of one key."""

    dialect = "postgres"

    pool: PostgresPool
    key: str

    async def fetch(self, sql: str, *parameters: Any) -> list[Mapping[str, Any]]:
        """The rows of one statement. Raises StoreError."""
        return await self.pool.fetch_as(self.key, sql, parameters)

    async def execute(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Runs all statements in one transaction. Raises StoreError."""
        await self.pool.execute_as(self.key, statements)

    def for_tenant(self, tenant: str | None) -> ActingFor:
        """The same database for another tenant."""
        return self.pool.for_tenant(tenant)

    def for_every_tenant(self) -> ActingFor:
        """The same database with the rows of all tenants."""
        return self.pool.for_every_tenant()


async def _begin(pool: asyncpg.Pool) -> tuple[Any, Any]:
    """A connection, and the transaction that it is in.

    A connection that the server cut may look alive until it is used. Nothing was done with it yet, so another is taken;
    all others of that time are as suspect.
    """
    try:
        return await _take(pool)
    except GONE:
        await pool.expire_connections()
    return await _take(pool)


async def _take(pool: asyncpg.Pool) -> tuple[Any, Any]:
    connection = await pool.acquire()
    transaction = connection.transaction()
    try:
        await transaction.start()
    except BaseException:
        await pool.release(connection)
        raise
    return connection, transaction


async def _read_jsonb(connection: asyncpg.Connection) -> None:
    """Makes JSONB come back as what it says, and not as its text."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_json, decoder=json.loads)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            await pool.close()
    except (TimeoutError, *GONE):  # the server does not take leave
        pool.terminate()
