"""The middleware that limits how long a turn, a model call or a tool call may take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from pydantic import Field

from victor_dsl.errors import ComponentError, ModelError, TimedOut, ToolError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Around, MiddlewareConfig
from victor_dsl.language.kinds import Middleware
from victor_dsl.lazy import Lazy
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")


class Config(MiddlewareConfig):
    """Cancels a turn, a model call or a tool call that takes too long.

    Around a turn (the default), the turn fails. Around a model call, the model fails, so that `retry` tries again and a
    fallback can answer. Around a tool call, the model gets an error as the tool's result, and the turn continues.
    Text that was already streamed stays.
    """

    seconds: float = Field(60.0, gt=0, description="The time limit. The default is 60 seconds.", examples=[30])


EXAMPLE = "{type: timeout, seconds: 30}"


def build(config: Config, context: Context) -> Middleware:
    """The middleware."""
    return Timeout(config.seconds, config.around or "turn", context.node)


@frozen
class Timeout:
    """Cancels the handler at the time limit and raises the error that fits what it wraps."""

    seconds: float
    around: Around
    node: str

    def wrap(self, handler: Handler) -> Handler:
        async def timed(turn: Turn) -> Reply:
            end = asyncio.get_running_loop().time() + self.seconds
            deadline = end if turn.deadline is None else min(end, turn.deadline)
            scope = asyncio.timeout_at(end)
            try:
                async with scope:
                    return await handler(turn.replace(deadline=deadline))
            except TimeoutError as error:
                if not scope.expired():
                    raise  # raised by something inside for its own reasons
                raise self._failure(turn) from error

        return timed

    def _failure(self, turn: Turn) -> ComponentError:
        limit = f"within {self.seconds:g} s"
        if self.around == "model":
            name = turn.settings.model
            return ModelError(f"did not answer {limit}", kind="timeout", node=f"models/{name}", limit="total")
        if self.around == "tool" and turn.call is not None:
            return ToolError(f"the tool '{turn.call.name}' gave no result {limit}", node=self.node)
        return TimedOut(f"the turn did not end {limit}", node=self.node)
