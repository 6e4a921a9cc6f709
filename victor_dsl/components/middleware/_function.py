"""A Python function as a middleware, held to its contract: one reply, and the handler called at most once."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from attrs import define, frozen

from victor_dsl.errors import ComponentError, VictorError
from victor_dsl.language.component import Context
from victor_dsl.language.importing import import_function
from victor_dsl.language.printing import in_function, out_of_function, routed_output
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Emit, Handler, Turn

Guard = Callable[[Turn, Handler], Awaitable[Reply]]


@asynccontextmanager
async def function_middleware(name: str, context: Context) -> AsyncIterator[FunctionMiddleware]:
    """The middleware that `module:function` names, its module imported. Raises ComponentError where it cannot be one."""
    with routed_output():
        try:
            with in_function():
                function = import_function(name, context.directory)
            hint = "write `async def NAME(turn, handler) -> Reply`"
            if not inspect.iscoroutinefunction(function):
                raise ComponentError("is no `async def`", hint=hint)
            try:
                inspect.signature(function).bind(None, None)
            except TypeError as error:
                raise ComponentError("cannot be called with `(turn, handler)`", hint=hint) from error
        except ComponentError as error:
            message = f"the function '{name}': {error.message}"
            raise ComponentError(message, node=context.node, hint=error.hint) from error
        yield FunctionMiddleware(name, function, context.node)


@frozen
class FunctionMiddleware:
    """Fails closed: whatever the function does wrong ends the turn."""

    name: str
    function: Guard
    node: str

    def wrap(self, handler: Handler) -> Handler:
        async def guarded(turn: Turn) -> Reply:
            once = _Once(handler, self)
            try:
                with in_function():
                    reply = await self.function(turn.replace(emit=_outside(turn.emit)), once.call)
            except VictorError:
                raise
            except (Exception, SystemExit) as error:  # a function may raise anything
                raise self.fault(f"failed: {type(error).__name__}: {error}") from error
            finally:
                once.over = True
            if once.fault is not None:
                raise once.fault  # the function may have caught it
            if not isinstance(reply, Reply):
                raise self.fault(f"gave {type(reply).__name__} instead of a reply")
            return reply

        return guarded

    def fault(self, what: str) -> ComponentError:
        """What the function did wrong, as an error."""
        return ComponentError(f"the function '{self.name}' {what}", node=self.node)


@define
class _Once:
    """The handler as the function is given it."""

    handler: Handler
    middleware: FunctionMiddleware
    called: bool = False
    over: bool = False
    fault: ComponentError | None = None

    async def call(self, turn: Turn) -> Reply:
        if self.called or self.over:
            what = "called the handler twice" if self.called else "called the handler after it had ended"
            self.fault = self.middleware.fault(what)
            raise self.fault
        self.called = True
        with out_of_function():
            return await self.handler(turn)


def _outside(emit: Emit) -> Emit:
    """The emit with standard output as it is outside of the function: there the reply may be printed."""

    async def pass_on(delta: Delta) -> None:
        with out_of_function():
            await emit(delta)

    return pass_on
