"""A handler in a limited time."""

from __future__ import annotations

import asyncio

from attrs import frozen

from victor_dsl.errors import ComponentError, ModelError, TimedOut, ToolError
from victor_dsl.language.config import Around
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn


@frozen
class Timeout:
    """Cancels the handler when its time is over, and raises what the place that it wraps understands."""

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
                    raise  # something's own, inside
                raise self._failure(turn) from error

        return timed

    def _failure(self, turn: Turn) -> ComponentError:
        late = f"within {self.seconds:g} s"
        if self.around == "model":
            return ModelError(f"did not answer {late}", kind="timeout", node=f"models/{turn.settings.model}")
        if self.around == "tool" and turn.call is not None:
            return ToolError(f"the tool '{turn.call.name}' gave no result {late}", node=self.node)
        return TimedOut(f"the turn did not end {late}", node=self.node)
