"""A session store whose calls are repeated while it is unreachable, locked or full."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TypeVar

from attrs import frozen

from victor_dsl.errors import StoreError
from victor_dsl.language.component import Clock, Report
from victor_dsl.language.kinds import SessionStore
from victor_dsl.language.store_retries import with_retries
from victor_dsl.values.message import Message

T = TypeVar("T")


@frozen(eq=False)
class RetriedSessions:
    """The store of a plan. A turn is stored once however often it is appended, so a try whose answer was lost does no harm."""

    store: SessionStore
    seconds: float
    clock: Clock
    random: Random
    report: Report

    async def load(
        self, tenant: str | None, session: str, before: str | None = None, *, user: str | None = None
    ) -> tuple[Message, ...]:
        """The store's history. Raises its StoreError where it is not transient, or after `seconds`."""
        return await self._retried(lambda: self.store.load(tenant, session, before, **_of(user)))

    async def append(
        self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message], *, user: str | None = None
    ) -> None:
        """Adds a turn. Raises as `load` does; the turn may then be stored all the same."""
        await self._retried(lambda: self.store.append(tenant, session, turn_id, messages, **_of(user)))

    async def _retried(self, work: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(work, self.clock, self.random, seconds=self.seconds, failed=self._failed)

    def _failed(self, error: StoreError) -> None:
        self.report(f"the session store is called again: {error.message}", {"code": error.code})


def _of(user: str | None) -> dict[str, str]:
    """The argument that says whose session it is. A store without it works where all sessions belong to tenants."""
    return {} if user is None else {"user": user}
