"""The middleware that ends what takes too long."""

from __future__ import annotations

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig
from victor_dsl.language.kinds import Middleware


class Config(MiddlewareConfig):
    """Ends a turn, a model call or a tool call that takes too long.

    Around a turn (the default) the turn fails. Around a model call it is the model that fails, so that `retry` tries
    again and a fallback stands in. Around a tool call the model is told, and the turn goes on. What was streamed by then
    has been streamed.
    """

    seconds: float = Field(60.0, gt=0, description="How long it may take. The default is 60 seconds.", examples=[30])


EXAMPLE = "{type: timeout, seconds: 30}"


def build(config: Config, context: Context) -> Middleware:
    """The middleware; it holds nothing open."""
    from victor_dsl.components.middleware._timeout import Timeout

    return Timeout(config.seconds, config.around or "turn", context.node)
