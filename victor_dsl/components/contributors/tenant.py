"""The contributor that renders each tenant's own template, from a database."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field
from pydantic import Field

from victor_dsl.components.contributors.template import INLINE, rendered, template_error
from victor_dsl.components.tenant_rows import TenantRows, TenantRowsConfig, quoted
from victor_dsl.errors import ContributorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig
from victor_dsl.lazy import Lazy
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio

    import jinja2

    from victor_dsl.language import sandbox
    from victor_dsl.language import template_work as work
else:
    asyncio = Lazy("asyncio")
    jinja2 = Lazy("jinja2")
    sandbox = Lazy("victor_dsl.language.sandbox")
    work = Lazy("victor_dsl.language.template_work")

LIGHT = 4_000
"""How many units of work take no pause: about 1 ms."""
PAUSE_S = 60e-6
"""How long a tenant's next rendering waits for each unit of work of a rendering that was not light: 200 times as long as it took."""


class Config(TenantRowsConfig, ContributorConfig):
    """Adds the text of each tenant's row in the table `tenant_prompt_templates`, which `victor db migrate` creates.

    Its columns are `tenant_id`, `prompt_template`, which is a Jinja2 template as for `type: template`, and `active`; a row
    that is not active is ignored. A tenant without a row is an error, unless there is a `default` or the contributor is
    `optional`. While a row cannot be read, or is not a template, its last good version stays in use.

    Renderings of rows have smaller bounds than those of your own templates (the reference of templates has them), and a tenant
    whose rendering takes longer than about a millisecond waits before its next one, so that no tenant slows the others down.
    """

    max_tokens: int = Field(
        ge=1,
        description="The most tokens of this piece. Required, since what tenants write is unknown when the spec is checked.",
    )


VERSION = 2
"""As that of `template`."""

EXAMPLE = "{type: tenant, database: app, max_tokens: 500, default: default}"


def build(config: Config, context: Context) -> TenantTemplates:
    """The contributor; a tenant's row is read at its first turn."""
    return TenantTemplates(config, context)


@define(eq=False)
class _Row:
    """A tenant's template, and when it may be rendered again."""

    template: jinja2.Template
    free_at: float = float("-inf")
    rendering: asyncio.Lock = field(factory=lambda: asyncio.Lock())  # noqa: PLW0108 - it would import asyncio here


class TenantTemplates:
    """Templates from rows. All of them share one sandbox, which has no access to files."""

    def __init__(self, config: Config, context: Context) -> None:
        self._context = context
        self._default = config.default
        self._optional = config.optional
        self._sandbox: sandbox.Sandbox | None = None
        self._rows = TenantRows(
            config,
            context,
            ("tenant_prompt_templates", "prompt_template"),
            self._parse,
            error=ContributorError,
            meanwhile="the last good template stays in use",
        )

    async def contribute(self, turn: Turn) -> str:
        for tenant in (turn.tenant, self._default):
            if tenant is not None and (row := (await self._rows.get(tenant)).value) is not None:
                try:
                    return await self._rendered(row, turn) if tenant == turn.tenant else rendered(row.template, turn)
                except Exception as error:  # a template may raise anything
                    raise template_error(error, INLINE, partial(_place, tenant), turn, self._context) from error
        if self._optional:
            return ""
        whose = "a turn without a tenant" if turn.tenant is None else f"the tenant {quoted(turn.tenant)}"
        raise ContributorError(
            f"the table tenant_prompt_templates has no active row for {whose}",
            node=self._context.node,
            hint="add one, name a `default`, or set `optional: true`",
        )

    async def _rendered(self, row: _Row, turn: Turn) -> str:
        clock, box = self._context.clock, row.template.environment
        assert isinstance(box, sandbox.Sandbox)
        async with row.rendering:
            if (wait := row.free_at - clock.monotonic()) > 0:
                await clock.sleep(wait)
            try:
                return rendered(row.template, turn)
            finally:
                if (used := box.most_work - box.work_left) > LIGHT:
                    row.free_at = clock.monotonic() + used * PAUSE_S

    def _parse(self, tenant: str, source: Any) -> _Row:
        if not isinstance(source, str):
            raise ContributorError(f"{_place(tenant)}: is not text", node=self._context.node)
        if self._sandbox is None:
            self._sandbox = sandbox.Sandbox(jinja2.DictLoader({}), work.MOST_WORK_OF_OTHERS)
        try:
            return _Row(self._sandbox.from_string(source))
        except Exception as error:  # Jinja2's parser may raise anything
            no_turn = Turn(id="", session="", messages=())
            raise template_error(error, INLINE, partial(_place, tenant), no_turn, self._context) from error


def _place(tenant: str, template: str = "", line: int = 0) -> str:
    return f"tenant_prompt_templates[{quoted(tenant)}]" + (f":{line}" if line else "")
