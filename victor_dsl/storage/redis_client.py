"""A client of one Redis server; its errors are StoreErrors without the password."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ClusterDownError,
    ConnectionError,  # noqa: A004
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,  # noqa: A004
    TryAgainError,
)

from victor_dsl.errors import StoreError
from victor_dsl.storage.ending import to_the_end

NO_URL = "not a Redis URL"
URL = "write it as redis://:password@host:6379/0, or rediss:// for TLS"
TRANSIENT = (OutOfMemoryError, ReadOnlyError, MasterDownError, TryAgainError, ClusterDownError)
TRANSIENT_CODES = ("MISCONF", "NOREPLICAS", "BUSY")
"""The first words of answers for which redis-py has no type: the disk is full, replicas are away, a script takes long."""

Word = str | bytes


class RedisClient:
    """A client. An async context manager that can be entered any number of times.

    Entering does not connect; the first command does. A broken connection is opened again once, so that a restart of
    the server goes unnoticed; a command that was under way then may run twice.
    """

    dialect = "redis"

    def __init__(self, url: Callable[[], str], node: str, *, most: int, timeout_s: float) -> None:
        self._url = url
        self._node = node
        self._most = most
        self._timeout_s = timeout_s
        self._client: Redis | None = None
        self._place = ""
        self._password = ""

    async def __aenter__(self) -> Self:
        url = self._url()
        try:
            parts = urlsplit(url)
            self._place = f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
            self._password = unquote(parts.password or "")
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=self._most,
                timeout=self._timeout_s,
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
            )
        except ValueError:
            raise StoreError(NO_URL, node=self._node, hint=URL) from None  # the error quotes the url
        self._client = Redis.from_pool(pool)
        return self

    async def __aexit__(self, *error: object) -> None:
        client, self._client = self._client, None
        if client is not None:
            await to_the_end(client.aclose())

    async def command(self, *words: Word) -> Any:
        """The server's answer to a command; texts are bytes. Raises StoreError."""
        async with self.client() as client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[Word]) -> Any:
        """The result of a Lua script, which Redis runs atomically. Raises StoreError."""
        async with self.client() as client:
            return await client.register_script(script)(keys=list(keys), args=list(arguments))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """redis-py's own client, for what the other methods do not cover. Its errors are raised as StoreError."""
        if self._client is None:
            raise StoreError("the database is closed", node=self._node)
        try:
            yield self._client
        except AuthenticationError as error:
            raise self._error(str(error), "check the user and password in the url", transient=False) from error
        except TimeoutError as error:
            raise self._error(f"Redis at {self._place} did not answer in time", None, transient=True) from error
        except ConnectionError as error:
            raise self._error(f"cannot reach Redis at {self._place}: {error}", None, transient=True) from error
        except RedisError as error:
            raise self._error(str(error), None, transient=_is_transient(error)) from error

    def _error(self, message: str, hint: str | None, *, transient: bool) -> StoreError:
        if self._password:
            message = message.replace(self._password, "…")
        return StoreError(message, node=self._node, hint=hint, transient=transient)


def _is_transient(error: RedisError) -> bool:
    """Whether an error that the server answers may go away: no memory, no disk, no master for now."""
    return isinstance(error, TRANSIENT) or str(error).startswith(TRANSIENT_CODES)
