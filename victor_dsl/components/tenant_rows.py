"""Tables with one row for each tenant, and a cache of their rows: a turn rarely waits for the database.

Used by the provider and the contributor `tenant`.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

from attrs import define, field, frozen
from pydantic import Field

from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Model, Ref
from victor_dsl.language.store_retries import with_retries
from victor_dsl.lazy import Lazy
from victor_dsl.storage.tenant_key import tenant_key

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

T = TypeVar("T")

OUTAGE_SECONDS = 5.0
"""How long a row without a last good value is tried again."""
MOST_CHARACTERS = 262_144
"""How long the content of a row may be; what tenants write must not fill the memory."""
SELECT = f"""
SELECT CASE WHEN length(CAST({{column}} AS text)) <= {MOST_CHARACTERS} THEN {{column}} END AS content,
    length(CAST({{column}} AS text)) AS characters, active
FROM {{table}} WHERE tenant_id = $1
"""  # noqa: S608 - the tables are those of `victor db migrate`
RETRY_SECONDS = 1.0
"""How soon a row that could not be read is tried again."""


class TenantRowsConfig(Model):
    """The fields of a component that reads a row for each tenant."""

    database: Annotated[str, Ref("databases", ("postgres", "sqlite"))] = Field(
        description="The database, of type `postgres` or `sqlite`.", examples=["app"]
    )
    default: str | None = Field(
        None,
        min_length=1,
        description="The `tenant_id` of the row for tenants without a row of their own, and for turns without a tenant.",
        examples=["default"],
    )
    ttl_seconds: float = Field(
        60.0,
        gt=0,
        description="How long a row is cached. A change takes effect after at most this time. The default is 60 seconds.",
    )
    max_tenants: int = Field(
        10_000,
        ge=1,
        description="How many tenants' rows are cached in memory; the least recently used is evicted first.",
    )


@frozen(eq=False)
class Row(Generic[T]):
    """A tenant's row. `value` is what its content means; None where there is no row, or one that is not active."""

    value: T | None = None
    is_active: bool = True
    content: str = ""  # the repr of the column: equal texts mean an unchanged row


@define(eq=False)
class _Entry(Generic[T]):
    row: Row[T] | None = None
    failure: ComponentError | None = None
    fresh_until: float = float("-inf")
    reading: asyncio.Lock = field(factory=lambda: asyncio.Lock())  # noqa: PLW0108 - it would import asyncio here


class TenantRows(Generic[T]):
    """Rows by tenant, each read as the tenant it belongs to, so that row-level security shows no other's.

    `place` is a table and the column with the content; content longer than MOST_CHARACTERS is an `error`, and is not read. `parse`
    makes a value of it. It is called only when the content has changed, so an unchanged row stays the same object. However many
    turns need a row at once, one reads it. While a row cannot be read or parsed, its last good value stays in use;
    `context` reports the failure, and `meanwhile` as what that means.
    """

    def __init__(
        self,
        config: TenantRowsConfig,
        context: Context,
        place: tuple[str, str],
        parse: Callable[[str, Any], T],
        *,
        error: type[ComponentError],
        meanwhile: str,
    ) -> None:
        self._database = context.live(config.database)
        self._context = context
        self._table, column = place
        self._select = SELECT.format(table=self._table, column=column)
        self._error = error
        self._parse = parse
        self._ttl_s = config.ttl_seconds
        self._most = config.max_tenants
        self._meanwhile = meanwhile
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    async def get(self, tenant: str) -> Row[T]:
        """The tenant's row. Raises ComponentError where it was never read."""
        entry = self._entries.get(tenant)
        if entry is None:
            entry = self._entries[tenant] = _Entry()
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(tenant)
        if self._context.clock.monotonic() >= entry.fresh_until:
            async with entry.reading:
                if self._context.clock.monotonic() >= entry.fresh_until:  # nobody read it while this turn waited
                    await self._read(tenant, entry)
        failure = entry.failure
        if entry.row is None:
            assert failure is not None
            raise type(failure)(failure.message, node=failure.node, hint=failure.hint) from failure
        if failure is not None:
            self._context.report(f"{failure.message}; {self._meanwhile}", {"code": failure.code})
        return entry.row

    async def _read(self, tenant: str, entry: _Entry[T]) -> None:
        try:
            rows = await (self._fetch(tenant) if entry.row is not None else self._fetch_patiently(tenant))
            if not rows:
                entry.row = Row()
            elif rows[0]["active"] != 1:  # SQLite has no booleans; NULL and texts are not active
                entry.row = Row(is_active=False)
            else:
                if (rows[0]["characters"] or 0) > MOST_CHARACTERS:
                    where = f"{self._table}[{quoted(tenant)}]"
                    message = f"{where}: is longer than {MOST_CHARACTERS:,} characters"
                    raise self._error(message, node=self._context.node)
                content = repr(rows[0]["content"])
                if entry.row is None or entry.row.content != content:
                    # In a thread: compiling a template may take 0.2 s.
                    parsed = await asyncio.to_thread(self._parse, tenant, rows[0]["content"])
                    entry.row = Row(parsed, content=content)
        except ComponentError as error:
            entry.failure = error
            entry.fresh_until = self._context.clock.monotonic() + min(RETRY_SECONDS, self._ttl_s)
        else:
            entry.failure = None
            entry.fresh_until = self._context.clock.monotonic() + self._ttl_s

    async def _fetch(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        rows: Sequence[Mapping[str, Any]] = await self._database.for_tenant(tenant).fetch(
            self._select, tenant_key(tenant)
        )
        return rows

    async def _fetch_patiently(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """The rows, read again during a short outage: there is no last good value."""
        context = self._context
        return await with_retries(lambda: self._fetch(tenant), context.clock, context.random, seconds=OUTAGE_SECONDS)


def quoted(tenant: str) -> str:
    """A tenant's id as messages show it: in quotes, cut after 80 characters."""
    return json.dumps(tenant[:80] + ("…" if len(tenant) > 80 else ""), ensure_ascii=False)
