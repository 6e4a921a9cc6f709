"""What is known of rows, kept for a time: so that a turn does not wait for the database, nor fall with it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from attrs import define, field, frozen

from victor_dsl.errors import ComponentError

T = TypeVar("T")

AGAIN_SECONDS = 1.0
"""How soon a row that could not be read is tried again."""


@frozen
class Known(Generic[T]):
    """The value last read. `failure` says why it could not be read anew, if it could not."""

    value: T
    failure: ComponentError | None


@define(eq=False)
class _Entry(Generic[T]):
    known: Known[T] | None = None
    failure: ComponentError | None = None
    until: float = float("-inf")
    looking: asyncio.Lock = field(factory=asyncio.Lock)


class KeptRows(Generic[T]):
    """Values by key, each held for `ttl_s`; at most `most` of them, the one unused longest goes first.

    `load(key, before)` gives the value now, and `before` itself where nothing changed; what is not there is a value, too.
    However many ask for a key at once, one looks. While `load` raises ComponentError the last good value stays.
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

    async def get(self, key: str) -> Known[T]:
        """What is known of a key. Raises ComponentError where nothing is."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        if self._monotonic() >= entry.until:
            async with entry.looking:
                if self._monotonic() >= entry.until:  # nobody looked while this one waited
                    await self._look(key, entry)
        if entry.known is not None:
            return entry.known
        assert entry.failure is not None
        raise type(entry.failure)(
            entry.failure.message, node=entry.failure.node, hint=entry.failure.hint
        ) from entry.failure

    async def _look(self, key: str, entry: _Entry[T]) -> None:
        before = None if entry.known is None else entry.known.value
        try:
            value = await self._load(key, before)
        except ComponentError as error:
            entry.failure = error
            entry.until = self._monotonic() + min(AGAIN_SECONDS, self._ttl_s)
            if entry.known is not None:
                entry.known = Known(entry.known.value, error)
        else:
            entry.failure = None
            entry.until = self._monotonic() + self._ttl_s
            if entry.known is None or entry.known.value is not value or entry.known.failure is not None:
                entry.known = Known(value, None)
