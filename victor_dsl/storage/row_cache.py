"""Rows of a database, cached for some time, so that turns neither wait for the database nor fail when it is away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import define, frozen

from victor_dsl.errors import ComponentError
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

T = TypeVar("T")

RETRY_SECONDS = 1.0
"""How long after a failed load the next one is tried, at most: a shorter TTL shortens it."""


@frozen
class Cached(Generic[T]):
    """The value last loaded. `failure` is why loading it again failed, or None."""

    value: T
    failure: ComponentError | None


@define(eq=False)
class _Entry(Generic[T]):
    loading: asyncio.Lock
    cached: Cached[T] | None = None
    failure: ComponentError | None = None
    fresh_until: float = float("-inf")


class RowCache(Generic[T]):
    """Values by key, each valid for `ttl_s`; at most `most` of them, the least recently used is evicted first.

    `load(key, before)` returns the current value, and `before` itself where nothing changed; a missing row is a value
    too. However many callers ask for a key at once, one loads it. While `load` raises ComponentError the last good
    value stays.
    """

    def __init__(
        self,
        load: Callable[[str, T | None], Awaitable[T]],
        *,
        ttl_s: float,
        most: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._most = most
        self._monotonic = monotonic
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: str) -> Cached[T]:
        """The value of a key. Raises ComponentError where it was never loaded and cannot be."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(asyncio.Lock())
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        if self._monotonic() >= entry.fresh_until:
            async with entry.loading:
                if self._monotonic() >= entry.fresh_until:  # no other caller loaded it while this one waited
                    await self._refresh(key, entry)
        if entry.cached is not None:
            return entry.cached
        assert entry.failure is not None
        raise type(entry.failure)(
            entry.failure.message, node=entry.failure.node, hint=entry.failure.hint
        ) from entry.failure

    async def _refresh(self, key: str, entry: _Entry[T]) -> None:
        before = None if entry.cached is None else entry.cached.value
        try:
            value = await self._load(key, before)
        except ComponentError as error:
            entry.failure = error
            entry.fresh_until = self._monotonic() + min(RETRY_SECONDS, self._ttl_s)
            if entry.cached is not None:
                entry.cached = Cached(entry.cached.value, error)
        else:
            entry.failure = None
            entry.fresh_until = self._monotonic() + self._ttl_s
            if entry.cached is None or entry.cached.value is not value or entry.cached.failure is not None:
                entry.cached = Cached(value, None)
