"""The exporter that appends events to a JSON Lines file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Annotated

from pydantic import Field

from victor_dsl.components.event_lines import json_line, line_exporter
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, FilePath
from victor_dsl.language.kinds import Exporter
from victor_dsl.storage.file_value import reason
from victor_dsl.storage.line_file import LineFile
from victor_dsl.values.event import Event


class Config(ExporterConfig):
    """Appends events to a file, one JSON object per line, as `schemas/event.schema.json` describes them.

    A batch is written whole or not at all, and an event that is exported again after a failure is not written twice. A
    missing file is created, readable by its owner only; when the file is moved away (log rotation), a new one is created.
    Several processes may append to one file.
    """

    path: Annotated[str, FilePath()] = Field(
        description="The file, relative to the spec. Missing folders are created.", examples=[".victor/events.jsonl"]
    )
    fsync: bool = Field(
        False,
        description="Whether each batch is forced onto the disk, so that it survives a power cut. By default it survives "
        "only the end of the process.",
    )
    max_mb: int | None = Field(
        None,
        ge=1,
        description="The maximum size of the file in MiB. A file that a batch would make longer is renamed to `PATH.1` first, an older "
        "one to `PATH.2`, and so on. By default the file grows without a limit.",
        examples=[256],
    )
    keep: int = Field(
        5, ge=1, le=1_000, description="With `max_mb`, how many renamed files stay. The oldest is removed."
    )


EXAMPLE = "{type: jsonl, path: .victor/events.jsonl}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; entering it opens the file."""
    return line_exporter(JsonLines(config, context), context.node)


class JsonLines:
    """A JSON Lines file of events."""

    def __init__(self, config: Config, context: Context) -> None:
        self._node = context.node
        self._shown = context.shown(config.path)
        most_bytes = None if config.max_mb is None else config.max_mb << 20
        self._file = LineFile(config.path, fsync=config.fsync, most_bytes=most_bytes, keep=config.keep)

    def open(self) -> None:
        self._do(self._file.open)

    def write(self, events: Sequence[Event]) -> None:
        self._do(lambda: self._file.append([(event.id, json_line(event)) for event in events]))

    def close(self) -> None:
        self._file.close()

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            message = f"cannot write '{self._shown}': {reason(error)}"
            raise StoreError(message, node=self._node, transient=True) from error
