"""A pool of connections to one PostgreSQL database."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import asyncpg
from attrs import frozen

from victor_dsl.errors import StoreError
from victor_dsl.storage import migrate_command
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.postgres_errors import DISCONNECTED, PostgresErrors
from victor_dsl.storage.runtime_role import OWNS_TABLES
from victor_dsl.storage.tenant_key import EVERYONE, KEY, tenant_key

logger = logging.getLogger("victor_dsl")

CLOSING_SECONDS = 5.0
OWNER = (
    "the role in the dsn can switch row-level security off, as it owns the tables; create another role, give it its rights with "
    "`{migrate} --runtime-role ROLE`, and run turns with it in the dsn"
)
ACT_FOR = "SELECT set_config('victor.tenant', $1, true)"


@frozen
class PoolOptions:
    """Size of the pool, and time limits in seconds."""

    most: int = 10
    idle_s: float = 300.0
    connect_s: float = 5.0
    statement_s: float = 30.0
    prepare: bool = True


class PostgresPool:
    """A database. An async context manager that can be entered any number of times.

    Entering does not connect; the first statement does. While the server is away statements fail; the first one after
    its return succeeds.
    """

    dialect = "postgres"

    def __init__(self, dsn: Callable[[], str], node: str, options: PoolOptions | None = None) -> None:
        self._dsn = dsn
        self._node = node
        self._options = options or PoolOptions()
        self._pool: asyncpg.Pool | None = None
        self._errors: PostgresErrors | None = None
        self._looked_at_role = False

    async def __aenter__(self) -> Self:
        dsn, options = self._dsn(), self._options
        self._errors = PostgresErrors(self._node, dsn)
        self._pool = await asyncpg.create_pool(
            dsn,
            min_size=0,  # does not connect yet
            max_size=options.most,
            max_inactive_connection_lifetime=options.idle_s,
            timeout=options.connect_s,
            command_timeout=options.statement_s,
            statement_cache_size=100 if options.prepare else 0,
            init=_decode_jsonb,
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
        """Runs the statements in one transaction: all of them or none. Raises StoreError."""
        await self.execute_as(None, statements)

    def for_tenant(self, tenant: str | None) -> ActingFor:
        """The database with the rows that row-level security shows that tenant; None stands for no tenant."""
        return ActingFor(self, tenant_key(tenant))

    def for_every_tenant(self) -> ActingFor:
        """The database with the rows of all tenants."""
        return ActingFor(self, EVERYONE)

    def for_key(self, key_hash: str) -> ActingFor:
        """The database with the row of one API key."""
        return ActingFor(self, KEY + key_hash)

    async def fetch_as(self, key: str | None, sql: str, parameters: Sequence[Any]) -> list[Mapping[str, Any]]:
        """The rows of one statement, run for the tenant with that key. Raises StoreError."""
        async with self.transaction(key) as connection:
            return [dict(row) for row in await connection.fetch(sql, *parameters)]

    async def execute_as(self, key: str | None, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Runs the statements in one transaction, for the tenant with that key. Raises StoreError."""
        async with self.transaction(key) as connection:
            for sql, parameters in statements:
                await connection.execute(sql, *parameters)

    @asynccontextmanager
    async def transaction(self, key: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """A connection of asyncpg in a transaction, for what the other methods do not cover. Raises StoreError.

        `key` is the key of the tenant to act for; without one, tables with row-level security look empty.
        """
        pool, errors = self._pool, self._errors
        if pool is None or errors is None:
            raise StoreError("the database is closed", node=self._node)
        with errors.translated():
            connection, transaction = await _begin(pool)
            try:
                if key is not None:
                    await self._look_at_role(connection)
                    await connection.execute(ACT_FOR, key)
                yield connection
                await transaction.commit()
            except BaseException:
                with suppress(
                    *DISCONNECTED
                ):  # a closed connection has rolled back; the first error is the one to raise
                    await transaction.rollback()
                raise
            finally:
                await pool.release(connection)

    async def _look_at_role(self, connection: asyncpg.Connection) -> None:
        """Warns, once, where row-level security guards only against mistakes: the role could switch it off."""
        if not self._looked_at_role:
            self._looked_at_role = True
            if await connection.fetchval(OWNS_TABLES):
                logger.warning("%s: %s", self._node, OWNER.replace("{migrate}", migrate_command(self._node)))


@frozen
class ActingFor:
    """A database that runs each call in a transaction for the tenant with one key."""

    dialect = "postgres"

    pool: PostgresPool
    key: str

    async def fetch(self, sql: str, *parameters: Any) -> list[Mapping[str, Any]]:
        """The rows of one statement. Raises StoreError."""
        return await self.pool.fetch_as(self.key, sql, parameters)

    async def execute(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Runs the statements in one transaction. Raises StoreError."""
        await self.pool.execute_as(self.key, statements)

    def for_tenant(self, tenant: str | None) -> ActingFor:
        """The same database for another tenant."""
        return self.pool.for_tenant(tenant)

    def for_every_tenant(self) -> ActingFor:
        """The same database with the rows of all tenants."""
        return self.pool.for_every_tenant()


async def _begin(pool: asyncpg.Pool) -> tuple[Any, Any]:
    """A connection, and its transaction, which has begun.

    A connection that the server closed may look alive until it is used. Nothing was done on it yet, so a new one is
    opened instead; all pooled ones are dropped, since they were probably closed too.
    """
    try:
        return await _acquire(pool)
    except DISCONNECTED:
        await pool.expire_connections()
    return await _acquire(pool)


async def _acquire(pool: asyncpg.Pool) -> tuple[Any, Any]:
    connection = await pool.acquire()
    transaction = connection.transaction()
    try:
        await transaction.start()
    except BaseException:
        await pool.release(connection)
        raise
    return connection, transaction


async def _decode_jsonb(connection: asyncpg.Connection) -> None:
    """Makes JSONB arrive as Python values instead of text."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_json, decoder=json.loads)


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CLOSING_SECONDS):
            await pool.close()
    except (TimeoutError, *DISCONNECTED):  # the server does not answer
        pool.terminate()
