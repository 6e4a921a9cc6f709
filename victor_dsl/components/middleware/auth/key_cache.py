"""A cache of API keys: most turns need no look-up, and known keys keep working while the database is away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from attrs import define

from victor_dsl.components.middleware.auth.key_sources import ApiKey, KeySource
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Clock
from victor_dsl.language.store_retries import with_retries
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

MOST_KEYS = 10_000
"""Over this number, the least recently used key is evicted."""
LOOKUP_SECONDS = 5.0
"""Time limit for one look-up in the source."""
OUTAGE_SECONDS = 5.0
"""How long the look-up of a key that is not cached is tried again."""


@define
class _Entry:
    key: ApiKey
    looked_up_at: float
    refreshing: bool = False


class KeyCache:
    """Keys of a source, looked up again after `fresh_s`. When that fails, they stay valid for `stale_s` more.

    A missing key is not cached, so that a new key works at once.
    """

    def __init__(
        self,
        source: KeySource,
        clock: Clock,
        random: Random,
        *,
        fresh_s: float,
        stale_s: float,
        report: Callable[[StoreError], None],
    ) -> None:
        self._source = source
        self._clock = clock
        self._random = random
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._report = report
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def find(self, key_hash: str) -> ApiKey | None:
        """The key, or None if there is none. Raises StoreError when it cannot be looked up."""
        entry = self._entries.get(key_hash)
        if entry is None:
            return self._store(key_hash, await self._look_up_patiently(key_hash))
        self._entries.move_to_end(key_hash)
        age = self._clock.monotonic() - entry.looked_up_at
        if age < self._fresh_s or (entry.refreshing and age <= self._fresh_s + self._stale_s):
            return entry.key  # one turn looks it up again; the others use the cached key meanwhile
        entry.refreshing = True
        usable = age <= self._fresh_s + self._stale_s
        try:
            found = await (self._look_up(key_hash) if usable else self._look_up_patiently(key_hash))
            return self._store(key_hash, found)
        except StoreError as error:
            if not usable:
                raise
            self._report(error)
            return entry.key
        finally:
            entry.refreshing = False

    async def _look_up(self, key_hash: str) -> ApiKey | None:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                return await self._source.find(key_hash)
        except TimeoutError as error:
            raise StoreError(f"no answer within {LOOKUP_SECONDS:g} s", transient=True) from error

    async def _look_up_patiently(self, key_hash: str) -> ApiKey | None:
        """The key, looked up again during a short outage: nothing but the source knows whether there is one."""
        return await with_retries(
            lambda: self._look_up(key_hash), self._clock, self._random, seconds=OUTAGE_SECONDS, failed=self._report
        )

    def _store(self, key_hash: str, key: ApiKey | None) -> ApiKey | None:
        if key is None:
            self._entries.pop(key_hash, None)
        else:
            self._entries[key_hash] = _Entry(key, self._clock.monotonic())
            if len(self._entries) > MOST_KEYS:
                self._entries.popitem(last=False)
        return key
