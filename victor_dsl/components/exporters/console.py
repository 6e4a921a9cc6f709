"""The exporter that writes events to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal

from pydantic import Field

from victor_dsl.components.event_lines import json_line, line_exporter
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig
from victor_dsl.language.kinds import Exporter
from victor_dsl.storage.file_value import reason
from victor_dsl.values.event import Event, rfc3339


class Config(ExporterConfig):
    """Writes each event as one line to standard error. Standard output stays free for replies."""

    format: Literal["text", "json"] = Field(
        "text", description="The format of a line: `text` for people, `json` as in the event schema."
    )


EXAMPLE = "{type: console, format: text}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter. It looks up `sys.stderr` for each batch, so that a redirection takes effect."""
    return line_exporter(Console(context.node, as_json=config.format == "json"), context.node)


class Console:
    """Standard error."""

    def __init__(self, node: str, *, as_json: bool) -> None:
        self._node = node
        self._line = _json_text if as_json else text_line

    def open(self) -> None:
        """Does nothing: standard error is open."""

    def write(self, events: Sequence[Event]) -> None:
        try:
            sys.stderr.write("".join(map(self._line, events)))
            sys.stderr.flush()
        except (OSError, ValueError) as error:  # a closed pipe, a closed file
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise StoreError(f"cannot write to standard error: {why}", node=self._node, transient=True) from error

    def close(self) -> None:
        """Does nothing: standard error stays open."""


def _json_text(event: Event) -> str:
    return json_line(event).decode()


def text_line(event: Event) -> str:
    """The event for people: time, type, tenant and session, arms, and its data as `name=value`."""
    session = event.session or "-"
    if event.tenant is not None:
        session = f"{event.tenant}/{session}"
    arms = [f"{experiment}.{arm}" for experiment, arm in event.variants.items()]
    data = [f"{name}={_word(value)}" for name, value in event.data.items() if value is not None]
    words = " ".join([*map(_word, [session, *arms]), *data])
    return f"{rfc3339(event.timestamp)} {event.type:<11} {words}".rstrip() + "\n"


def _word(value: object) -> str:
    """A value on one line: as it is, or as JSON if it has blanks, quotes or control characters."""
    if isinstance(value, str) and value and value.isprintable() and not set(value) & set(" \"'"):
        return value
    return json.dumps(value, default=str)
