"""A Redis server."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from pydantic import Field

from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import DatabaseConfig, Secret
from victor_dsl.language.kinds import Database


class Config(DatabaseConfig):
    """A Redis server, version 6 or newer, or one that speaks its protocol: for values that several processes share.

    It needs the extra `redis`. Connections are opened when needed: while the server is away, turns that need it fail,
    and the first turn after its return succeeds.
    """

    dialect: ClassVar[str | None] = "redis"

    url: Secret = Field(
        description="The address: `redis://:password@host:6379/0`, or `rediss://` for TLS.",
        examples=["${env:REDIS_URL}"],
    )
    max_connections: int = Field(
        50, ge=1, le=10_000, description="The largest number of connections; further commands wait for one."
    )
    timeout_seconds: float = Field(5.0, gt=0, description="Time limit for connecting, and for one command.")


EXAMPLE = '{type: redis, url: "${env:REDIS_URL}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Database]:
    """The client; its pool exists while it is entered."""
    try:
        from victor_dsl.storage.redis_client import RedisClient
    except ModuleNotFoundError as error:
        hint = "install it with: pip install 'victor_dsl[redis]'"
        raise ComponentError("needs the package redis", node=context.node, hint=hint) from error
    return RedisClient(
        lambda: context.secret(config.url), context.node, most=config.max_connections, timeout_s=config.timeout_seconds
    )
