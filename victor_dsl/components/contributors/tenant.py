"""The contributor that renders each tenant's own template, from a database."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, Ref
from victor_dsl.language.kinds import Contributor


class Config(ContributorConfig):
    """Adds what each tenant's row of the table `tenant_prompt_templates` says, which `victor db migrate` makes.

    Its columns are `tenant_id`, `prompt_template`, which is a Jinja2 template as for `type: template`, and `active`; a row
    that is not active counts as none. A tenant without a row is an error, unless there is a `default` or the contributor
    is `optional`. While a row cannot be read, or is no template, its last good one stays in use.
    """

    database: Annotated[str, Ref("databases", ("postgres", "sqlite"))] = Field(
        description="The database, of type `postgres` or `sqlite`.", examples=["app"]
    )
    default: str | None = Field(
        None,
        min_length=1,
        description="The `tenant_id` of the row for tenants without a row of their own, and for turns without a tenant.",
        examples=["default"],
    )
    max_tokens: int = Field(
        ge=1,
        description="The most tokens of this piece. It must be said: what tenants write is not known when the spec is checked.",
    )
    ttl_seconds: float = Field(
        60.0, gt=0, description="How long a row is taken for current. The default is 60 seconds."
    )
    max_tenants: int = Field(
        10_000, ge=1, description="How many tenants' templates are kept in memory; the one unused longest goes first."
    )


EXAMPLE = "{type: tenant, database: app, max_tokens: 500, default: default}"


def build(config: Config, context: Context) -> Contributor:
    """The contributor; a tenant's row is read when its first turn asks."""
    from victor_dsl.components.contributors._tenant_templates import TenantTemplates

    return TenantTemplates(
        context.live(config.database),
        context,
        default=config.default,
        optional=config.optional,
        ttl_s=config.ttl_seconds,
        max_tenants=config.max_tenants,
    )
