"""Events written as lines, off the event loop and one batch at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import orjson

from victor_dsl.errors import StoreError
from victor_dsl.lazy import Lazy
from victor_dsl.storage.ending import to_the_end
from victor_dsl.values.event import Event

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")


class LineSink(Protocol):
    """A place for lines. Its methods block; only one of them runs at a time, in any thread."""

    def open(self) -> None:
        """Prepares for writing. Raises StoreError."""
        ...

    def write(self, events: Sequence[Event]) -> None:
        """Writes a batch. Raises StoreError."""
        ...

    def close(self) -> None:
        """Releases what `open` acquired; also called where `open` failed."""
        ...


class LineExporter:
    """An exporter that writes to a sink in threads. A batch that was cancelled ends before the next call begins."""

    def __init__(self, sink: LineSink, node: str) -> None:
        self._sink = sink
        self._node = node
        self._lock = threading.Lock()
        self._closed = False

    async def open(self) -> None:
        """Opens the sink. Raises StoreError."""
        await asyncio.to_thread(self._locked, self._sink.open)

    async def export(self, events: Sequence[Event]) -> None:
        await asyncio.to_thread(self._locked, self._sink.write, events)

    async def close(self) -> None:
        """Closes the sink after the current call; later calls raise StoreError."""
        await to_the_end(asyncio.to_thread(self._close))

    def _locked(self, work: Callable[..., None], *arguments: object) -> None:
        with self._lock:
            if self._closed:
                raise StoreError("the exporter is closed", node=self._node)
            work(*arguments)

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            self._sink.close()


@asynccontextmanager
async def line_exporter(sink: LineSink, node: str) -> AsyncIterator[LineExporter]:
    """The exporter of a sink, opened. The sink is closed also where opening it was cancelled."""
    exporter = LineExporter(sink, node)
    try:
        await exporter.open()
        yield exporter
    finally:
        await exporter.close()


def json_line(event: Event) -> bytes:
    """The event as `schemas/event.schema.json` describes it, on one line."""
    try:
        return orjson.dumps(event.as_json(), default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # orjson refuses lone surrogates and numbers over 64 bits; the standard library writes them
        return f"{json.dumps(event.as_json(), default=str)}\n".encode()
