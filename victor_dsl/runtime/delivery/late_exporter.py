"""An exporter that could not be opened at the start: it is opened again when events come, until that works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from victor_dsl.errors import StoreError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.kinds import Exporter
from victor_dsl.values.event import Event

Statuses = Callable[[], Sequence[Mapping[str, Any]]]


class LateExporter:
    """Stands in for an exporter; `open` makes the exporter. `export` raises a transient StoreError while it cannot be opened.

    The exporter is entered and left by one task of its own.
    """

    def __init__(self, open: Callable[[], AbstractAsyncContextManager[Exporter]]) -> None:
        self._open = open
        self._live: Exporter | None = None
        self._statuses: Statuses | None = None
        self._owner: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Exporter] | None = None
        self._closing = asyncio.Event()
        self._trying = asyncio.Lock()

    def watch(self, statuses: Statuses) -> None:
        """Passes the state of all deliveries on to the exporter, if that shows it."""
        self._statuses = statuses
        self._pass_statuses_on()

    async def export(self, events: Sequence[Event]) -> None:
        """Delivers the events. Raises StoreError."""
        async with self._trying:
            if self._live is None:
                await self._try()
        assert self._live is not None, "it is open now"
        await self._live.export(events)

    async def close(self) -> None:
        """Closes the exporter, if it was opened."""
        self._closing.set()
        if self._owner is not None:
            if self._live is None:
                self._owner.cancel()
            await asyncio.wait([self._owner])
            if not self._owner.cancelled() and (error := self._owner.exception()) is not None:
                raise error

    async def _try(self) -> None:
        if self._owner is None or self._owner.done():
            self._opened = asyncio.get_running_loop().create_future()
            self._owner = asyncio.create_task(self._own(self._opened), name="owner of an exporter")
        assert self._opened is not None
        self._live = await asyncio.shield(self._opened)  # an export that takes too long does not end the opening
        self._pass_statuses_on()

    async def _own(self, opened: asyncio.Future[Exporter]) -> None:
        try:
            async with self._open() as live:
                opened.set_result(live)
                await self._closing.wait()
        except BaseException as error:
            if opened.done() or not is_fault(error):
                raise
            opened.set_exception(StoreError(describe(error), transient=True))
        finally:
            if not opened.done():
                opened.cancel()

    def _pass_statuses_on(self) -> None:
        watch = getattr(self._live, "watch", None)
        if watch is not None and self._statuses is not None:
            watch(self._statuses)
