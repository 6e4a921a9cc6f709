"""The provider that reads each tenant's row of a database."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ProviderConfig, Ref
from victor_dsl.language.kinds import Provider


class Config(ProviderConfig):
    """Gives each tenant the settings and vars of its row in the table `tenant_configs`, which `victor db migrate` makes.

    Its columns are `tenant_id`, `config`, which is `{"settings": {…}, "vars": {…}}` as JSONB or JSON text, and `active`.
    A tenant that is not active is refused. So is one without a row, and a turn without a tenant, unless there is a
    `default` or the provider is `optional`. While a row cannot be read, or is no settings, its last good values hold.
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
    ttl_seconds: float = Field(
        60.0,
        gt=0,
        description="How long a row is taken for current: as long may a tenant go on that was made inactive. The default is 60 "
        "seconds.",
    )
    max_tenants: int = Field(
        10_000, ge=1, description="How many tenants' rows are kept in memory; the one unused longest goes first."
    )


EXAMPLE = "{type: tenant, database: app, priority: 100}"


def build(config: Config, context: Context) -> Provider:
    """The provider; a tenant's row is read when its first turn asks."""
    from victor_dsl.components.providers._tenant_configs import TenantConfigs

    return TenantConfigs(
        context.live(config.database),
        context,
        default=config.default,
        optional=config.optional,
        ttl_s=config.ttl_seconds,
        max_tenants=config.max_tenants,
    )
