"""The middleware that holds requests, tokens and concurrency to their limits."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig, Ref
from victor_dsl.language.kinds import Middleware

AFTER_AUTH = True
HOLDS = ("requests_per_minute", "tokens_per_minute", "concurrency")


class Config(MiddlewareConfig):
    """Refuses turns over the limits of `settings.limits`, and says when to come again.

    The limits are settings like any other: each layer may set them, a tenant's and a provider's too, and they are read for
    each turn; written here they are that layer's settings. A minute's worth may be used at once and comes back evenly.
    Tokens are reserved before a turn, by an estimate, and settled by what the models report; a turn that used more than it
    reserved is made up for by those after it. Changing a limit leaves what was used as it is.
    """

    around: Literal["turn", "model"] | None = Field(
        None, description="What counts as a request: each turn (the default), or each model call."
    )
    per: Literal["tenant", "user", "session", "key"] = Field(
        "tenant",
        description="Whose limits they are: each tenant's (the default), user's, session's or API key's own. Turns without one "
        "share one. Session ids are made up by callers, who can make up more.",
    )
    requests_per_minute: float | None = Field(
        None, gt=0, description="Turns begun in a minute; the same as `settings.limits.requests_per_minute`."
    )
    tokens_per_minute: float | None = Field(
        None, gt=0, description="Tokens, in and out, in a minute; the same as `settings.limits.tokens_per_minute`."
    )
    concurrency: int | None = Field(
        None, ge=1, description="Turns at one time; the same as `settings.limits.concurrency`."
    )
    database: Annotated[str | None, Ref("databases", ("redis",))] = Field(
        None,
        description="A database of type `redis` to count in, for all processes together. Left out, each process counts for "
        "itself, and anew when it is started.",
        examples=["counters"],
    )
    when_unavailable: Literal["refuse", "allow"] = Field(
        "refuse",
        description="What becomes of turns while the database cannot be asked: they are refused (the default), or allowed "
        "without being counted. Either is said in the log.",
    )


EXAMPLE = "{type: rate_limit, per: tenant, requests_per_minute: 60, tokens_per_minute: 100000}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Middleware]:
    """The middleware; what was counted outlives it."""
    from victor_dsl.components.middleware._rate_limit import open_rate_limit

    return open_rate_limit(config, context)
