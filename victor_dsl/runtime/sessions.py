"""One turn of a session at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from types import TracebackType

from attrs import define


@define(eq=False)
class _Entry:
    lock: asyncio.Lock
    users: int = 0


@define(eq=False)
class _Hold:
    entries: dict[Hashable, _Entry]
    key: Hashable

    async def __aenter__(self) -> None:
        entry = self.entries.get(self.key)
        if entry is None:
            entry = self.entries[self.key] = _Entry(asyncio.Lock())
        entry.users += 1
        try:
            await entry.lock.acquire()
        except BaseException:
            self._leave(entry)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entry = self.entries[self.key]
        entry.lock.release()
        self._leave(entry)

    def _leave(self, entry: _Entry) -> None:
        entry.users -= 1
        if not entry.users:
            del self.entries[self.key]


class SessionLocks:
    """A lock for each session in use. A lock that nobody holds or waits for is forgotten."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def hold(self, key: Hashable) -> _Hold:
        """`async with` holds the key's lock; those who wait get it in the order in which they came."""
        return _Hold(self._entries, key)

    def __len__(self) -> int:
        return len(self._entries)
