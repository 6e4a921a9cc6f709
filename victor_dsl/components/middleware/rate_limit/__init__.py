"""The middleware that limits requests, tokens and concurrency."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig, Ref
from victor_dsl.language.kinds import RedisDatabase
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    from victor_dsl.components import usage_buckets
    from victor_dsl.components.middleware.rate_limit import handler, redis_buckets
else:  # 5 ms that `validate` need not pay
    usage_buckets = Lazy("victor_dsl.components.usage_buckets")
    handler = Lazy("victor_dsl.components.middleware.rate_limit.handler")
    redis_buckets = Lazy("victor_dsl.components.middleware.rate_limit.redis_buckets")

AFTER_AUTH = True
REQUIRED = True
ENFORCES = ("requests_per_minute", "tokens_per_minute", "concurrency")


class Config(MiddlewareConfig):
    """Refuses turns over the limits in `settings.limits`, and says when to try again.

    The limits are settings like any other: every layer may set them, also a tenant's or a provider's, and they are read
    for each turn. Written here, they are settings of this layer. One minute's worth may be used at once and comes back
    evenly. An estimate of the tokens is reserved before a turn and corrected by what the models report; where a turn used
    more than was reserved, later turns wait longer. Changing a limit does not reset the usage.
    """

    around: Literal["turn", "model"] | None = Field(
        None, description="What counts as a request: each turn (the default), or each model call."
    )
    per: Literal["tenant", "user", "session", "key"] = Field(
        "tenant",
        description="Who has limits of their own: each tenant (the default), user, session or API key. Turns without one share "
        "one. Callers choose session ids themselves, and can use any number of them.",
    )
    requests_per_minute: float | None = Field(
        None, gt=0, description="Turns started per minute; the same as `settings.limits.requests_per_minute`."
    )
    tokens_per_minute: float | None = Field(
        None, gt=0, description="Input and output tokens per minute; the same as `settings.limits.tokens_per_minute`."
    )
    concurrency: int | None = Field(
        None, ge=1, description="Turns that run at the same time; the same as `settings.limits.concurrency`."
    )
    database: Annotated[str | None, Ref("databases", ("redis",))] = Field(
        None,
        description="A database of type `redis` that counts for all processes together. By default each process counts for "
        "itself, and starts from zero.",
        examples=["counters"],
    )
    when_unavailable: Literal["refuse", "allow"] = Field(
        "refuse",
        description="What happens to turns while the database is away: they are refused (the default), or allowed without being "
        "counted. The log reports it either way.",
    )


EXAMPLE = "{type: rate_limit, per: tenant, requests_per_minute: 60, tokens_per_minute: 100000}"


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[handler.RateLimit]:
    """The middleware; the counters outlive it. Entering it raises ComponentError if its database is not Redis."""
    refuses = config.when_unavailable == "refuse"
    if config.database is None:
        memory = usage_buckets.MemoryBuckets(context.memory.setdefault("subjects", {}), context.clock)
        yield handler.RateLimit(lambda _: memory, context, config.per, refuses_uncounted=refuses)
        return
    database = context.live(config.database)
    if not isinstance(database, RedisDatabase):
        raise ComponentError(f"{config.database} is not Redis; limits are counted there, or in memory")

    def of_pipeline(pipeline: str) -> redis_buckets.RedisBuckets:
        return redis_buckets.RedisBuckets(database, f"victor:{pipeline}:{context.node}")

    yield handler.RateLimit(of_pipeline, context, config.per, refuses_uncounted=refuses)
