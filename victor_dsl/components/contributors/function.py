"""The contributor that is a Python function."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from attrs import field, frozen
from pydantic import Field

from victor_dsl.errors import ComponentError, ContributorError, VictorError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, FunctionName
from victor_dsl.language.importing import import_function
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.language.printing import in_function, routed_output
from victor_dsl.lazy import Lazy
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

MOST_THREADS = 32
"""How many calls of one function run at once; further calls wait, within their timeout."""


class Config(ContributorConfig):
    """Adds what a function of yours returns to the system prompt, called for each turn: `def today(turn) -> str`.

    A plain function runs in a thread, so it may block; an `async def` runs on the event loop. An empty text adds nothing.
    What the function prints goes to standard error.
    """

    function: Annotated[str, FunctionName()] = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="The function, as `module:function`. The module is searched in the spec's folder, then on Python's path.",
        examples=["support.prompts:opening_hours"],
    )
    timeout_seconds: float = Field(
        10.0, gt=0, description="The time limit of one call, in seconds. The default is 10 seconds."
    )


VARIES = True

EXAMPLE = '{type: function, function: "support.prompts:opening_hours"}'


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[FunctionContributor]:
    """The contributor; the module is imported on entering.

    Raises ComponentError if there is no such function, or it cannot be called with a turn.
    """
    with routed_output():
        try:
            with in_function():
                function = import_function(config.function, context.directory)
            try:
                inspect.signature(function).bind(None)
            except (TypeError, ValueError) as error:
                raise ComponentError("cannot be called with `(turn)`", hint="write `def NAME(turn) -> str`") from error
        except ComponentError as error:
            message = f"the function '{config.function}': {error.message}"
            raise ComponentError(message, node=context.node, hint=error.hint) from error
        yield FunctionContributor(config.function, function, config.timeout_seconds, context.node)


@frozen
class FunctionContributor:
    """One function. Whatever goes wrong in it becomes a ContributorError with the function's name."""

    name: str
    function: Callable[[Turn], Any]
    timeout_s: float
    node: str
    off_loop: OffLoop = field(factory=lambda: OffLoop(MOST_THREADS))

    async def contribute(self, turn: Turn) -> str:
        timeout = asyncio.timeout(self.timeout_s)
        try:
            async with timeout:
                with in_function():
                    text = await self._call(turn)
        except VictorError:
            raise
        except BaseException as error:  # a function may raise anything
            if not is_fault(error):
                raise
            if timeout.expired() and isinstance(error, TimeoutError):
                raise self._error(f"took longer than {self.timeout_s:g} seconds") from error
            raise self._error(f"failed: {describe(error)}") from error
        if not isinstance(text, str):
            raise self._error(f"returned {type(text).__name__} instead of text")
        return text

    async def _call(self, turn: Turn) -> Any:
        if inspect.iscoroutinefunction(self.function):
            return await self.function(turn)
        result = await self.off_loop.run(self.function, turn)
        return await result if inspect.isawaitable(result) else result

    def _error(self, what: str) -> ContributorError:
        return ContributorError(f"the function '{self.name}' {what}", node=self.node)
