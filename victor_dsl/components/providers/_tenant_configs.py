"""Layers out of the rows of `tenant_configs`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from attrs import frozen

from victor_dsl.errors import ProviderError, Refused
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.nearest import suggest
from victor_dsl.storage.row_cache import RowCache
from victor_dsl.storage.tenant_key import tenant_key
from victor_dsl.values.codec import read_settings, read_vars
from victor_dsl.values.faults import Fault, Faulty, kind_of
from victor_dsl.values.settings import Layer
from victor_dsl.values.turn import Turn

SELECT = "SELECT config, active FROM tenant_configs WHERE tenant_id = $1"
SECTIONS = ("settings", "vars")


@frozen(eq=False)
class Row:
    """A tenant's row: what it said, and the layer of it. A tenant without a row, and one that is inactive, has no layer."""

    config: str | None = None
    is_active: bool = True
    layer: Layer | None = None


class TenantConfigs:
    """The provider. Rows are read as the tenant they belong to, so that row-level security shows no other's."""

    def __init__(
        self,
        database: SqlDatabase,
        context: Context,
        *,
        default: str | None,
        optional: bool,
        ttl_s: float,
        max_tenants: int,
    ) -> None:
        self._database = database
        self._context = context
        self._default = default
        self._empty = Layer(context.node) if optional else None
        self._rows: RowCache[Row] = RowCache(
            self._load, ttl_s=ttl_s, most=max_tenants, monotonic=context.clock.monotonic
        )

    async def read(self, turn: Turn) -> Layer:
        for tenant in (turn.tenant, self._default):
            if tenant is None:
                continue
            row = await self._row(tenant)
            if not row.is_active:
                raise Refused(f"the tenant {shown(tenant)} is not active", node=self._context.node)
            if row.layer is not None:
                return row.layer
        if self._empty is not None:
            return self._empty
        if turn.tenant is None:
            raise Refused("the turn names no tenant", node=self._context.node)
        raise Refused(f"there is no tenant {shown(turn.tenant)}", node=self._context.node)

    async def _row(self, tenant: str) -> Row:
        known = await self._rows.get(tenant)
        if known.failure is not None:
            message = f"{known.failure.message}; the last good values stay in force"
            self._context.report(message, {"code": known.failure.code})
        return known.value

    async def _load(self, tenant: str, before: Row | None) -> Row:
        rows = await self._database.for_tenant(tenant).fetch(SELECT, tenant_key(tenant))
        if not rows:
            return before if before is not None and before.layer is None and before.is_active else Row()
        if rows[0]["active"] != 1:  # SQLite has no booleans; null, and texts, are not active
            return Row(is_active=False)
        config = rows[0]["config"]
        text = config if isinstance(config, str) else json.dumps(config)
        if before is not None and before.config == text:
            return before
        return Row(text, layer=self._layer(tenant, text))

    def _layer(self, tenant: str, config: str) -> Layer:
        try:
            values = json.loads(config, parse_constant=_refuse)
            if faults := list(_faults(values)):
                raise Faulty(faults)
        except (ValueError, RecursionError) as error:
            said = "is not JSON: " if isinstance(error, json.JSONDecodeError) else ""
            message = (
                f"the config of tenant {shown(tenant)} in the table tenant_configs {said or 'is no layer: '}{error}"
            )
            raise ProviderError(message, node=self._context.node) from error
        return Layer(self._context.node, values.get("settings") or {}, values.get("vars") or {})


def shown(tenant: str) -> str:
    """A tenant's id as messages quote it."""
    return json.dumps(tenant[:80] + ("…" if len(tenant) > 80 else ""), ensure_ascii=False)


def _faults(values: Any) -> Iterator[Fault]:
    if not isinstance(values, dict):
        yield Fault((), f"it must be a map of settings and vars, not {kind_of(values)}")
        return
    for key in values:
        if key not in SECTIONS:
            yield Fault((), f"there is no section '{key}' in it; {suggest(key, SECTIONS)}")
    for section, check in (("settings", read_settings), ("vars", read_vars)):
        value = values.get(section)
        if value is not None and not isinstance(value, dict):
            yield Fault((section,), f"must be a map, not {kind_of(value)}")
        elif value is not None:
            try:
                check(value)
            except Faulty as error:
                yield from error.faults


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
