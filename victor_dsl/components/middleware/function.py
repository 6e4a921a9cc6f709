"""The middleware that is a Python function of the user's."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from attrs import define, frozen
from pydantic import Field

from victor_dsl.errors import ComponentError, VictorError
from victor_dsl.language.component import Context
from victor_dsl.language.config import FunctionName, MiddlewareConfig
from victor_dsl.language.importing import import_function
from victor_dsl.language.printing import in_function, out_of_function, routed_output
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Emit, Handler, Turn

SIGNATURE = "write `async def NAME(turn, handler) -> Reply`"


class Config(MiddlewareConfig):
    """Wraps a turn, a model call or a tool call in a function of your own: `async def guard(turn, handler) -> Reply`.

    The function awaits `handler(turn)`, with this turn or a changed one (`turn.replace(…)`), and returns its reply. It
    may also return a reply of its own, or raise: `victor_dsl.errors.Refused` refuses the turn. A function that returns
    nothing, or calls the handler twice, fails the turn.
    """

    function: Annotated[str, FunctionName()] = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="The function, as `module:function`. The module is searched in the spec's folder, then on Python's path.",
        examples=["support.guards:office_hours"],
    )


EXAMPLE = '{type: function, function: "support.guards:office_hours"}'


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[FunctionMiddleware]:
    """The middleware. Entering it imports the module, and raises ComponentError for a function that does not fit."""
    name = config.function
    with routed_output():
        try:
            with in_function():
                function = import_function(name, context.directory)
            if not inspect.iscoroutinefunction(function):
                raise ComponentError("is not an `async def`", hint=SIGNATURE)
            try:
                inspect.signature(function).bind(None, None)
            except TypeError as error:
                raise ComponentError("cannot be called with `(turn, handler)`", hint=SIGNATURE) from error
        except ComponentError as error:
            message = f"the function '{name}': {error.message}"
            raise ComponentError(message, node=context.node, hint=error.hint) from error
        yield FunctionMiddleware(name, function, context.node)


@frozen
class FunctionMiddleware:
    """Calls the function and checks its contract: one reply, and at most one call of the handler.

    It fails closed: any mistake of the function fails the turn.
    """

    name: str
    function: Callable[[Turn, Handler], Awaitable[Reply]]
    node: str

    def wrap(self, handler: Handler) -> Handler:
        async def guarded(turn: Turn) -> Reply:
            once = _CallableOnce(handler, self)
            try:
                with in_function():
                    reply = await self.function(turn.replace(emit=_printing_outside(turn.emit)), once.call)
            except VictorError:
                raise
            except (Exception, SystemExit) as error:  # a user's function may raise anything
                raise self.fault(f"failed: {type(error).__name__}: {error}") from error
            finally:
                once.expired = True
            if once.fault is not None:
                raise once.fault  # the function may have caught it
            if not isinstance(reply, Reply):
                raise self.fault(f"returned {type(reply).__name__} instead of a Reply")
            return reply

        return guarded

    def fault(self, what: str) -> ComponentError:
        """An error that says what the function did wrong."""
        return ComponentError(f"the function '{self.name}' {what}", node=self.node)


@define
class _CallableOnce:
    """The handler as the function gets it: it runs at most once, and only before the function returns."""

    handler: Handler
    middleware: FunctionMiddleware
    called: bool = False
    expired: bool = False
    fault: ComponentError | None = None

    async def call(self, turn: Turn) -> Reply:
        if self.called or self.expired:
            what = "called the handler twice" if self.called else "called the handler after it had returned"
            self.fault = self.middleware.fault(what)
            raise self.fault
        self.called = True
        with out_of_function():
            return await self.handler(turn)


def _printing_outside(emit: Emit) -> Emit:
    """`emit` with the standard output from outside the function, where the reply may be printed."""

    async def pass_on(delta: Delta) -> None:
        with out_of_function():
            await emit(delta)

    return pass_on
