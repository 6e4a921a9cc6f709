"""The middleware that is a Python function."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import FunctionName, MiddlewareConfig
from victor_dsl.language.kinds import Middleware


class Config(MiddlewareConfig):
    """Wraps a turn, a model call or a tool call in a function of your own: `async def guard(turn, handler) -> Reply`.

    The function awaits `handler(turn)`, with this turn or a changed one (`turn.replace(…)`), and gives its reply, or gives
    a reply of its own, or raises: `victor_dsl.errors.Refused` says that the turn may not run. A function that gives
    nothing, or calls the handler twice, fails the turn.
    """

    function: Annotated[str, FunctionName()] = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="The function, as `module:function`. The module is looked for in the spec's folder, then on Python's path.",
        examples=["support.guards:office_hours"],
    )


EXAMPLE = '{type: function, function: "support.guards:office_hours"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Middleware]:
    """The middleware; the module is imported when it is entered."""
    from victor_dsl.components.middleware._function import function_middleware

    return function_middleware(config.function, context)
