"""The middleware that tries again what may pass by itself."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig
from victor_dsl.language.kinds import Middleware

AROUND = "model"


class Config(MiddlewareConfig):
    """Tries a model call again that failed for a reason which may pass: rate limits, overload, timeouts, broken connections.

    It waits before each attempt, longer each time, by a random share of that time, and at least as long as the model's
    service asks for. Nothing is tried again after its first piece was streamed, and around a turn nothing after a tool
    was called. When the last attempt fails, the fallbacks have their turn.
    """

    around: Literal["turn", "model"] | None = Field(
        None, description="What is tried again: each model call (the default), or the whole turn."
    )
    attempts: int = Field(
        3, ge=1, le=100, description="How often it is tried in all, the first time included. The default is 3."
    )
    initial_seconds: float = Field(
        0.5, ge=0, description="The longest pause before the second attempt. The default is half a second."
    )
    multiplier: float = Field(
        2.0, ge=1, description="How much longer the pause may be before each further attempt. The default is 2."
    )
    max_seconds: float = Field(
        20.0,
        ge=0,
        description="The longest pause. A service that asks for a longer one is not tried again: a fallback answers sooner. "
        "The default is 20 seconds.",
    )

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.initial_seconds > self.max_seconds:
            raise ValueError("'initial_seconds' is longer than 'max_seconds'")
        return self


EXAMPLE = "{type: retry, attempts: 3, initial_seconds: 0.5, max_seconds: 20}"


def build(config: Config, context: Context) -> Middleware:
    """The middleware, on the pipeline's clock and random source."""
    from victor_dsl.components.middleware._retry import Retry

    return Retry(config, context.clock, context.random)
