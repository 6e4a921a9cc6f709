"""A PostgreSQL database."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import DatabaseConfig, Secret
from victor_dsl.language.kinds import SqlDatabase


class Config(DatabaseConfig):
    """A PostgreSQL database, version 15 or newer, used through a pool of connections.

    Connections are opened when needed: while the server is away, turns that need it fail, and the first turn after its
    return succeeds. `victor db migrate` creates the tables that other components use, with row-level security for
    tenants. Superusers and roles with BYPASSRLS are exempt from it, and the tables' owner can switch it off: use another role
    in `dsn`, and give it its rights by `victor db migrate --runtime-role ROLE`.
    """

    dialect: ClassVar[str | None] = "postgres"

    dsn: Secret = Field(
        description="The address: `postgresql://user:password@host:5432/database`.", examples=["${env:DATABASE_URL}"]
    )
    max_connections: int = Field(
        10, ge=1, le=1000, description="The largest number of connections; further statements wait for one."
    )
    idle_seconds: float = Field(300.0, gt=0, description="How long an unused connection stays open.")
    connect_timeout_seconds: float = Field(5.0, gt=0, description="Time limit for opening a connection.")
    statement_timeout_seconds: float = Field(30.0, gt=0, description="Time limit for one statement.")
    prepared_statements: bool = Field(
        True,
        description="Whether statements are prepared on the server. Set it to false behind PgBouncer in transaction mode.",
    )


EXAMPLE = '{type: postgres, dsn: "${env:DATABASE_URL}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[SqlDatabase]:
    """The database; its pool exists while it is entered."""
    from victor_dsl.storage.postgres_pool import PoolOptions, PostgresPool

    options = PoolOptions(
        most=config.max_connections,
        idle_s=config.idle_seconds,
        connect_s=config.connect_timeout_seconds,
        statement_s=config.statement_timeout_seconds,
        prepare=config.prepared_statements,
    )
    return PostgresPool(lambda: context.secret(config.dsn), context.node, options)
