"""The exporter that writes events into a SQLite database."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ExporterConfig, Ref
from victor_dsl.language.kinds import Exporter


class Config(ExporterConfig):
    """Writes events into a table of a SQLite database; the table is made where it is not there yet.

    Its columns are `event_id event_type timestamp session_id tenant_id pipeline plan variants event_data`; times are
    RFC 3339 in UTC, so that they sort as text, and the last two are JSON. A batch is written in one transaction. An event is
    known by its id: one that comes again counts once. NUL is stored as ␀, a lone surrogate as �, NaN as text.
    """

    database: Annotated[str, Ref("databases", ("sqlite",))] = Field(
        description="A database of type `sqlite`, by its name under `databases`.", examples=["app"]
    )
    table: str = Field("analytics_events", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$", description="The table's name.")


EXAMPLE = "{type: sqlite, database: app}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Exporter]:
    """The exporter; its table is made when it is entered."""
    from victor_dsl.components.exporters._sqlite_events import exporting

    return exporting(context.live(config.database), config.table, context.node)
