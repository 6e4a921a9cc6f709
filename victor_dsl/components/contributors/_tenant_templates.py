"""Templates out of the rows of `tenant_prompt_templates`."""

from __future__ import annotations

import json
from functools import partial

from attrs import frozen
from jinja2 import DictLoader, Template

from victor_dsl.components.contributors._template import fault, text_of
from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.language.sandbox import Sandbox
from victor_dsl.storage.row_cache import RowCache
from victor_dsl.storage.tenant_key import tenant_key
from victor_dsl.values.turn import Turn

SELECT = "SELECT prompt_template, active FROM tenant_prompt_templates WHERE tenant_id = $1"
MOST_CHARACTERS = 262_144
INLINE = ("<template>",)
NO_TURN = Turn(id="", session="", messages=())


@frozen(eq=False)
class Row:
    """A tenant's template, with its source; None where it has no active row."""

    source: str | None = None
    template: Template | None = None


class TenantTemplates:
    """The contributor. Rows are read as the tenant they belong to; all templates share one sandbox that sees no files."""

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
        self._optional = optional
        self._sandbox: Sandbox | None = None
        self._rows: RowCache[Row] = RowCache(
            self._load, ttl_s=ttl_s, most=max_tenants, monotonic=context.clock.monotonic
        )

    async def contribute(self, turn: Turn) -> str:
        for tenant in (turn.tenant, self._default):
            if tenant is None:
                continue
            template = await self._template(tenant)
            if template is not None:
                try:
                    return text_of(template, turn)
                except Exception as error:  # a template may raise anything
                    raise fault(error, INLINE, partial(_place, tenant), turn, self._context) from error
        if self._optional:
            return ""
        whose = "a turn without a tenant" if turn.tenant is None else f"the tenant {_quoted(turn.tenant)}"
        raise ContributorError(
            f"the table tenant_prompt_templates has no active row for {whose}",
            node=self._context.node,
            hint="add one, name a `default`, or say optional: true",
        )

    async def _template(self, tenant: str) -> Template | None:
        known = await self._rows.get(tenant)
        if known.failure is not None:
            message = f"{known.failure.message}; the last good template stays in use"
            self._context.report(message, {"code": known.failure.code})
        return known.value.template

    async def _load(self, tenant: str, before: Row | None) -> Row:
        rows = await self._database.for_tenant(tenant).fetch(SELECT, tenant_key(tenant))
        if not rows or rows[0]["active"] != 1:  # SQLite has no booleans; null, and texts, are not active
            return Row()
        source = rows[0]["prompt_template"]
        if before is not None and before.source == source:
            return before
        if not isinstance(source, str) or len(source) > MOST_CHARACTERS:
            what = f"is longer than {MOST_CHARACTERS:,} characters" if isinstance(source, str) else "is no text"
            raise ContributorError(f"{_place(tenant)}: {what}", node=self._context.node)
        if self._sandbox is None:
            self._sandbox = Sandbox(DictLoader({}))
        try:
            return Row(source, self._sandbox.from_string(source))
        except Exception as error:  # Jinja2's parser may raise anything
            raise fault(error, INLINE, partial(_place, tenant), NO_TURN, self._context) from error


def _place(tenant: str, template: str = "") -> str:
    return f"tenant_prompt_templates[{_quoted(tenant)}]"


def _quoted(tenant: str) -> str:
    return json.dumps(tenant[:80] + ("…" if len(tenant) > 80 else ""), ensure_ascii=False)
