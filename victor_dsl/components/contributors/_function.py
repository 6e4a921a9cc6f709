"""A Python function as a contributor: called with the turn, in time, and held to give a text."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen

from victor_dsl.errors import ComponentError, ContributorError, VictorError
from victor_dsl.language.component import Context
from victor_dsl.language.importing import import_function
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.language.printing import in_function, routed_output
from victor_dsl.values.turn import Turn

MOST_THREADS = 32
"""How many calls may block at once; further ones wait, within their timeout."""


@asynccontextmanager
async def function_contributor(name: str, timeout_s: float, context: Context) -> AsyncIterator[FunctionContributor]:
    """The contributor that `module:function` names, its module imported. Raises ComponentError where it cannot be one."""
    with routed_output():
        try:
            with in_function():
                function = import_function(name, context.directory)
            try:
                inspect.signature(function).bind(None)
            except (TypeError, ValueError) as error:
                raise ComponentError("cannot be called with `(turn)`", hint="write `def NAME(turn) -> str`") from error
        except ComponentError as error:
            message = f"the function '{name}': {error.message}"
            raise ComponentError(message, node=context.node, hint=error.hint) from error
        yield FunctionContributor(name, function, timeout_s, context.node, OffLoop(MOST_THREADS))


@frozen
class FunctionContributor:
    """One function; whatever goes wrong in it is a ContributorError with its name."""

    name: str
    function: Callable[[Turn], Any]
    timeout_s: float
    node: str
    off_loop: OffLoop

    async def contribute(self, turn: Turn) -> str:
        timeout = asyncio.timeout(self.timeout_s)
        try:
            async with timeout:
                with in_function():
                    text = await self._run(turn)
        except VictorError:
            raise
        except (Exception, SystemExit) as error:  # a function may raise anything
            if timeout.expired() and isinstance(error, TimeoutError):
                raise self._fault(f"took longer than {self.timeout_s:g} seconds") from error
            raise self._fault(f"failed: {type(error).__name__}: {error}") from error
        if not isinstance(text, str):
            raise self._fault(f"gave {type(text).__name__} instead of text")
        return text

    async def _run(self, turn: Turn) -> Any:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(turn)
        result = await self.off_loop.run(self.function, turn)
        return await result if inspect.isawaitable(result) else result

    def _fault(self, what: str) -> ContributorError:
        return ContributorError(f"the function '{self.name}' {what}", node=self.node)
