"""The exporter that appends events to a JSON Lines file."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, FilePath
from victor_dsl.language.kinds import Exporter


class Config(ExporterConfig):
    """Appends events to a file, one JSON object a line, as `schemas/event.schema.json` describes them.

    A batch is there whole or not at all, and an event that is exported again after a failure is not written twice. The
    file is made when it is not there, readable by its owner alone; when it is moved away (log rotation), a new one is
    begun. Several processes may append to one file.
    """

    path: Annotated[str, FilePath()] = Field(
        description="The file, relative to the spec. Folders on the way are made.", examples=[".victor/events.jsonl"]
    )
    fsync: bool = Field(
        False,
        description="Whether each batch is forced onto the disk, so that it outlives a power cut. By default it outlives "
        "only the end of the process.",
    )


EXAMPLE = "{type: jsonl, path: .victor/events.jsonl}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; the file is opened when it is entered."""
    from victor_dsl.components.exporters._lines import JsonLines, exporting

    return exporting(JsonLines(config.path, context, fsync=config.fsync), context.node)
