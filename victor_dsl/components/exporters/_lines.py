"""Events as lines: written off the event loop, one batch at a time."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import orjson

from victor_dsl.components.exporters._line_file import LineFile
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.storage.ending import to_the_end
from victor_dsl.storage.file_value import reason
from victor_dsl.values.event import Event, rfc3339


class Sink(Protocol):
    """A place that writes in whatever thread it is called."""

    def open(self) -> None:
        """Gets ready to write. Raises StoreError."""
        ...

    def write(self, events: Sequence[Event]) -> None:
        """Writes a batch. Raises StoreError."""
        ...

    def close(self) -> None:
        """Lets go of what it holds."""
        ...


class Exporting:
    """An exporter that writes to a sink in threads, one at a time: a batch whose caller is gone is ended first."""

    def __init__(self, sink: Sink, node: str) -> None:
        self._sink = sink
        self._node = node
        self._one_at_a_time = threading.Lock()
        self._closed = False

    async def open(self) -> None:
        """Opens the sink. Raises StoreError."""
        await asyncio.to_thread(self._alone, self._sink.open)

    async def export(self, events: Sequence[Event]) -> None:
        await asyncio.to_thread(self._alone, self._sink.write, events)

    async def close(self) -> None:
        """Closes the sink, after what is going on there; what comes later finds it closed."""
        await to_the_end(asyncio.to_thread(self._close))

    def _alone(self, work: Callable[..., None], *arguments: object) -> None:
        with self._one_at_a_time:
            if self._closed:
                raise StoreError("the exporter is closed", node=self._node)
            work(*arguments)

    def _close(self) -> None:
        with self._one_at_a_time:
            self._closed = True
            self._sink.close()


@asynccontextmanager
async def exporting(sink: Sink, node: str) -> AsyncIterator[Exporting]:
    """The exporter over a sink, which is closed also where opening it was cancelled."""
    exporter = Exporting(sink, node)
    try:
        await exporter.open()
        yield exporter
    finally:
        await exporter.close()


class Console:
    """Standard error, whatever it is when a batch comes."""

    def __init__(self, node: str, *, as_json: bool) -> None:
        self._node = node
        self._line = json_line if as_json else text_line

    def open(self) -> None:
        """Standard error is open."""

    def write(self, events: Sequence[Event]) -> None:
        try:
            sys.stderr.write("".join(map(self._line, events)))
            sys.stderr.flush()
        except (OSError, ValueError) as error:  # a closed pipe; a closed file
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise StoreError(f"cannot write to standard error: {why}", node=self._node, transient=True) from error

    def close(self) -> None:
        """Standard error stays open."""


class JsonLines:
    """A JSON Lines file."""

    def __init__(self, path: str, context: Context, *, fsync: bool) -> None:
        self._node = context.node
        self._shown = context.shown(path)
        self._file = LineFile(path, fsync=fsync)

    def open(self) -> None:
        self._do(self._file.open)

    def write(self, events: Sequence[Event]) -> None:
        self._do(lambda: self._file.append([(event.id, json_line(event).encode()) for event in events]))

    def close(self) -> None:
        self._file.close()

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            message = f"cannot write '{self._shown}': {reason(error)}"
            raise StoreError(message, node=self._node, transient=True) from error


def json_line(event: Event) -> str:
    """The event as `schemas/event.schema.json` describes it, on one line."""
    try:
        return orjson.dumps(event.as_json(), default=str, option=orjson.OPT_APPEND_NEWLINE).decode()
    except TypeError:  # lone surrogates and numbers over 64 bits, which JSON can say
        return json.dumps(event.as_json(), default=str) + "\n"


def text_line(event: Event) -> str:
    """The event for people: time, type, who, and its data as `name=value`."""
    who = [event.session if event.tenant is None else f"{event.tenant}/{event.session}"]
    arms = [f"{experiment}.{arm}" for experiment, arm in event.variants.items()]
    data = [f"{name}={_word(value)}" for name, value in event.data.items() if value is not None]
    return (
        f"{rfc3339(event.timestamp)} {event.type:<11} {' '.join(map(_word, [*who, *arms]))} {' '.join(data)}".rstrip()
        + "\n"
    )


def _word(value: object) -> str:
    """A value on one line: text with blanks or anything that would move the cursor is written as JSON."""
    if isinstance(value, str) and value and value.isprintable() and not set(value) & set(" \"'"):
        return value
    return json.dumps(value, default=str)
