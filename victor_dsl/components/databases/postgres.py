"""The database that is a PostgreSQL server's."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import DatabaseConfig, Secret
from victor_dsl.language.kinds import SqlDatabase


class Config(DatabaseConfig):
    """Keeps rows in a PostgreSQL database, 15 or later, through a pool of connections.

    Connections are made when they are needed: a server that is away fails the turns that need it, and the next turn
    finds it again. `victor db migrate` makes the tables that other components use, with row-level security for tenants;
    it holds for every role but superusers and those with BYPASSRLS, so let `dsn` name neither.
    """

    dialect: ClassVar[str | None] = "postgres"

    dsn: Secret = Field(
        description="Where it is: `postgresql://user:password@host:5432/database`.", examples=["${env:DATABASE_URL}"]
    )
    max_connections: int = Field(
        10, ge=1, le=1000, description="How many connections there are at most; statements over that wait."
    )
    idle_seconds: float = Field(300.0, gt=0, description="How long an unused connection is kept.")
    connect_timeout_seconds: float = Field(5.0, gt=0, description="How long making a connection may take.")
    statement_timeout_seconds: float = Field(30.0, gt=0, description="How long one statement may take.")
    prepared_statements: bool = Field(
        True, description="Whether statements are prepared. Set it to false behind PgBouncer in transaction mode."
    )


EXAMPLE = '{type: postgres, dsn: "${env:DATABASE_URL}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[SqlDatabase]:
    """The database, whose pool is there while it is entered."""
    from victor_dsl.storage.postgres_pool import PoolOptions, PostgresPool

    options = PoolOptions(
        most=config.max_connections,
        idle_s=config.idle_seconds,
        connect_s=config.connect_timeout_seconds,
        statement_s=config.statement_timeout_seconds,
        prepare=config.prepared_statements,
    )
    return PostgresPool(lambda: context.secret(config.dsn), context.node, options)
