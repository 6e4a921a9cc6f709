"""Keys as they were last seen, so that neither every turn nor an outage depends on the database."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from attrs import define

from victor_dsl.components.middleware._api_keys import ApiKey, KeySource
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Clock

MOST_KEYS = 10_000
"""Keys beyond these are asked for again; the one not used for longest goes first."""
ASKING_SECONDS = 5.0
"""How long the source may take to say whether it has a key."""


@define
class _Seen:
    key: ApiKey
    at: float
    asking: bool = False


class KeyCache:
    """A source of keys that is asked again after `fresh_s`. When it fails, what it said holds for `stale_s`.

    A key that it does not have is not remembered: a new one is good at once.
    """

    def __init__(
        self, source: KeySource, clock: Clock, *, fresh_s: float, stale_s: float, report: Callable[[StoreError], None]
    ) -> None:
        self._source = source
        self._clock = clock
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._report = report
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    async def find(self, key_hash: str) -> ApiKey | None:
        """The key, or None where there is none. Raises StoreError where that cannot be told."""
        seen = self._seen.get(key_hash)
        if seen is None:
            return self._remember(key_hash, await self._ask(key_hash))
        self._seen.move_to_end(key_hash)
        age = self._clock.monotonic() - seen.at
        if age < self._fresh_s or (seen.asking and age <= self._fresh_s + self._stale_s):
            return seen.key  # one turn asks again, those beside it go on with what was known
        seen.asking = True
        try:
            return self._remember(key_hash, await self._ask(key_hash))
        except StoreError as error:
            if age > self._fresh_s + self._stale_s:
                raise
            self._report(error)
            return seen.key
        finally:
            seen.asking = False

    async def _ask(self, key_hash: str) -> ApiKey | None:
        try:
            async with asyncio.timeout(ASKING_SECONDS):
                return await self._source.find(key_hash)
        except TimeoutError as error:
            raise StoreError(f"gave no answer within {ASKING_SECONDS:g} s") from error

    def _remember(self, key_hash: str, key: ApiKey | None) -> ApiKey | None:
        if key is None:
            self._seen.pop(key_hash, None)
        else:
            self._seen[key_hash] = _Seen(key, self._clock.monotonic())
            if len(self._seen) > MOST_KEYS:
                self._seen.popitem(last=False)
        return key
