"""The exporter that writes events to standard error."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Literal

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig
from victor_dsl.language.kinds import Exporter


class Config(ExporterConfig):
    """Writes each event as one line to standard error, where people and container logs look.

    Standard output is left alone: it is for replies.
    """

    format: Literal["text", "json"] = Field(
        "text", description="How a line looks: `text` for people, `json` for machines, as in the event schema."
    )


EXAMPLE = "{type: console, format: text}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; it writes to what is standard error when an event comes."""
    from victor_dsl.components.exporters._lines import Console, exporting

    return exporting(Console(context.node, as_json=config.format == "json"), context.node)
