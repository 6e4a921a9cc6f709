"""Shared resources: each is opened by its first user and closed after its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

from victor_dsl.errors import ComponentError
from victor_dsl.language.boundary import internal_error, is_fault
from victor_dsl.storage.ending import to_the_end

T = TypeVar("T")


class Lease(Generic[T]):
    """A resource in use. All its users share one lease; each ends its use with `Leases.end` or `Leases.release`."""

    __slots__ = ("closing", "key", "opening", "owner", "resource", "unused", "users")

    resource: T

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.users = 0
        self.closing = False
        # These three are for a resource that is a context manager; the others have nothing to wait for.
        self.owner: asyncio.Task[None] | None = None
        self.opening: asyncio.Future[None] | None = None  # None again once the resource is there
        self.unused: asyncio.Future[None] | None = None  # done when the owner is to close the resource


def _log(key: Any, error: BaseException) -> None:
    internal_error(error, str(key))


class Leases(Generic[T]):
    """Resources by key.

    `open(key, *details)` returns a resource, or an async context manager of it. A context manager is entered and left
    by a task of its own: MCP clients need the same task for both, and no user's cancellation reaches it. `idle` is how
    many resources stay open without a user; of more, the least recently used are closed. A resource that does not close
    within `closing_s` is cancelled, and given up after the same time again. `failed` gets the errors of closing.
    """

    def __init__(
        self,
        open: Callable[..., T | AbstractAsyncContextManager[T]],
        *,
        idle: int = 0,
        closing_s: float | None = None,
        failed: Callable[[Any, BaseException], None] = _log,
    ) -> None:
        self._open = open
        self._most_idle = idle
        self._closing_s = closing_s
        self._failed = failed
        self._leases: dict[Hashable, Lease[T]] = {}  # in the order of opening
        self._idle: dict[Hashable, Lease[T]] = {}  # without a user, the least recently used first

    def __len__(self) -> int:
        return len(self._leases)

    async def take(self, key: Hashable, *details: Any) -> Lease[T]:
        """Adds a user to the key's resource, and opens it for the first. Raises what opening raises.

        A resource that is closing is opened again after it has closed.
        """
        while (lease := self._leases.get(key)) is not None and lease.closing and lease.owner is not None:
            await asyncio.wait([lease.owner])
        if lease is None:
            lease = self._leases[key] = self._begin(key, details)
        elif not lease.users:
            self._idle.pop(key, None)
        lease.users += 1
        if lease.opening is not None:
            try:
                await asyncio.shield(lease.opening)  # one user's cancellation does not cancel the others' opening
            except BaseException:
                await to_the_end(self.release(lease))
                raise
        return lease

    def end(self, lease: Lease[T]) -> None:
        """Ends one use. After the last one the resource stays idle, or closes in the background."""
        lease.users -= 1
        if lease.users or lease.closing:
            return
        if self._most_idle and lease.opening is None:
            self._idle[lease.key] = lease
            if len(self._idle) <= self._most_idle:
                return
            lease = self._idle.pop(next(iter(self._idle)))
        self._close(lease)

    async def release(self, lease: Lease[T]) -> None:
        """Ends one use; if it was the last, waits until the resource is closed."""
        self.end(lease)
        if lease.closing:
            await self._closed(lease)

    async def close(self) -> None:
        """Closes all resources at the same time, also those in use; the last one opened begins."""
        while leases := list(reversed(self._leases.values())):
            for lease in leases:
                self._close(lease)
            await asyncio.gather(*map(self._closed, leases))

    def _begin(self, key: Hashable, details: tuple[Any, ...]) -> Lease[T]:
        lease: Lease[T] = Lease(key)
        opened = self._open(key, *details)
        if isinstance(opened, AbstractAsyncContextManager):
            loop = asyncio.get_running_loop()
            lease.opening, lease.unused = loop.create_future(), loop.create_future()
            lease.owner = asyncio.create_task(self._own(lease, opened), name=f"owner of {key}")
            lease.owner.add_done_callback(lambda _: self._ended(lease))  # also of a task cancelled before it began
        else:
            lease.resource = opened
        return lease

    async def _own(self, lease: Lease[T], opened: AbstractAsyncContextManager[T]) -> None:
        assert lease.opening is not None
        assert lease.unused is not None
        opening = lease.opening
        try:
            async with opened as lease.resource:
                lease.opening = None
                opening.set_result(None)
                await lease.unused
        except BaseException as error:
            if not is_fault(error):
                raise
            if not opening.done():
                opening.set_exception(error)
                opening.exception()  # retrieved, also where every user has gone
            else:
                self._failed(lease.key, error)
        finally:
            self._ended(lease)

    def _close(self, lease: Lease[T]) -> None:
        lease.closing = True
        self._idle.pop(lease.key, None)
        if lease.owner is None or lease.unused is None:
            self._forget(lease)
        elif lease.opening is not None:
            lease.owner.cancel()
        elif not lease.unused.done():
            lease.unused.set_result(None)

    async def _closed(self, lease: Lease[T]) -> None:
        if lease.owner is None:
            return
        _, late = await asyncio.wait([lease.owner], timeout=self._closing_s)
        if late:
            lease.owner.cancel()
            await asyncio.wait([lease.owner], timeout=self._closing_s)
            self._forget(lease)
            self._failed(lease.key, ComponentError(f"did not close within {self._closing_s:g} s"))

    def _ended(self, lease: Lease[T]) -> None:
        if lease.opening is not None and not lease.opening.done():
            lease.opening.set_exception(ComponentError(f"{lease.key} was closed while it was being opened"))
            lease.opening.exception()
        self._forget(lease)

    def _forget(self, lease: Lease[T]) -> None:
        if self._leases.get(lease.key) is lease:
            del self._leases[lease.key]
