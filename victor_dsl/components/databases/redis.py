"""The database that is a Redis server."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from pydantic import Field

from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import DatabaseConfig, Secret
from victor_dsl.language.kinds import Database


class Config(DatabaseConfig):
    """Keeps values in Redis, 6 or later, or a server that speaks its language: what processes share while they run.

    It needs the extra `redis`. Connections are made when they are needed: a server that is away fails the turns
    that need it, and the next turn finds it again.
    """

    dialect: ClassVar[str | None] = "redis"

    url: Secret = Field(
        description="Where it is: `redis://:password@host:6379/0`, or `rediss://` for TLS.",
        examples=["${env:REDIS_URL}"],
    )
    max_connections: int = Field(
        50, ge=1, le=10_000, description="How many connections there are at most; commands over that wait."
    )
    timeout_seconds: float = Field(5.0, gt=0, description="How long connecting or one command may take.")


EXAMPLE = '{type: redis, url: "${env:REDIS_URL}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Database]:
    """The client, whose pool is there while it is entered."""
    try:
        from victor_dsl.storage.redis_client import RedisClient
    except ModuleNotFoundError as error:
        hint = "install it with: pip install 'victor_dsl[redis]'"
        raise ComponentError("needs the package redis", node=context.node, hint=hint) from error
    return RedisClient(
        lambda: context.secret(config.url), context.node, most=config.max_connections, timeout_s=config.timeout_seconds
    )
