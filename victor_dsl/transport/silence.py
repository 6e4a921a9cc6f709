"""The limit of silence: how long a stream may go on without output."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, TypeVar

from victor_dsl.errors import TimeLimit
from victor_dsl.transport.failures import TooSilent

T = TypeVar("T")


class StreamReader(Protocol):
    """What reads a stream, and how long it waits."""

    @property
    def finished(self) -> bool:
        """Whether the last event was read."""
        ...

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, whatever follows."""
        ...

    def end(self) -> None:
        """The stream has ended with `[DONE]`."""
        ...

    def note(self, event: Mapping[str, Any]) -> bool:
        """Notes an event before it is read; returns whether it has output, and so ends a silence."""
        ...

    def time_limit(self) -> tuple[TimeLimit, float]:
        """Which limit applies now, and how many seconds a silence may last."""
        ...


class Silence:
    """Limits the time without output in a stream, whatever bytes arrive. The time in which the reader works does not count."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()

    def end(self) -> None:
        """There was output: the next silence begins now."""
        self._since = self._loop.time()

    async def limit(self, waiting: Awaitable[T]) -> T:
        """What is waited for. Raises TooSilent."""
        limit, seconds = self._reader.time_limit()
        timeout = asyncio.timeout_at(self._since + seconds)
        try:
            async with timeout:
                return await waiting
        except TimeoutError as error:
            if timeout.expired():
                raise TooSilent(limit, seconds) from error
            raise
