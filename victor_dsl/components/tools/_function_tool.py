"""A Python function as a tool: called with checked arguments, in time, and heard out as text."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from victor_dsl.components.tools._signature import Signature, signature_of
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolConfig
from victor_dsl.language.importing import import_function
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.language.printing import in_function, routed_output
from victor_dsl.values.message import ToolCall
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

MOST_THREADS = 32
"""How many calls of one function may block at once; further ones wait, within their timeout."""
MOST_ERROR_CHARACTERS = 1000


@asynccontextmanager
async def function_tool(name: str, config: ToolConfig, context: Context) -> AsyncIterator[FunctionTool]:
    """The tool that `module:function` names, its module imported. Raises ComponentError with the node where there is no such function."""
    with routed_output():
        try:
            with in_function():
                function = import_function(name, context.directory)
            signature = signature_of(function)
        except ComponentError as error:
            message = f"the function '{name}': {error.message}"
            raise ComponentError(message, node=context.node, hint=error.hint) from error
        yield FunctionTool(function, signature, config, context)


class FunctionTool:
    """One function, offered under the node's name."""

    def __init__(
        self, function: Callable[..., Any], signature: Signature, config: ToolConfig, context: Context
    ) -> None:
        self._function = function
        self._signature = signature
        self._config = config
        self._is_async = inspect.iscoroutinefunction(function)
        self._off_loop = OffLoop(MOST_THREADS)
        self._tools = (
            Tool(
                name=config.name or "python",
                description=signature.description,
                parameters=signature.schema,
                cost=config.cost,
                cost_usd=config.cost_usd,
                domain=config.domain,
                source=context.node,
            ),
        )

    async def tools(self) -> Sequence[Tool]:
        return self._tools

    async def call(self, call: ToolCall, turn: Turn) -> str:
        positional, named = self._signature.read(call.arguments, turn)
        timeout = asyncio.timeout(self._config.timeout_seconds)
        try:
            async with timeout:
                with in_function():
                    result = await self._run(positional, named)
        except ToolError:
            raise
        except (Exception, SystemExit) as error:  # a tool may raise anything; the model is told what, not where
            if timeout.expired() and isinstance(error, TimeoutError):
                raise ToolError(f"took longer than {self._config.timeout_seconds:g} seconds") from error
            raise ToolError(f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS]) from error
        return cut(text_of(result), self._config.max_result_tokens)

    async def _run(self, positional: list[Any], named: dict[str, Any]) -> Any:
        if self._is_async:
            return await self._function(*positional, **named)
        result = await self._off_loop.run(self._function, *positional, **named)
        return await result if inspect.isawaitable(result) else result


def text_of(result: Any) -> str:
    """A result as the model is told it: text as it is, else JSON. Raises ToolError."""
    if isinstance(result, str):
        return result.encode("utf-8", "replace").decode()  # lone surrogates go no further
    try:
        return orjson.dumps(result, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        pass  # it nests too deep for orjson, or holds numbers over 64 bits
    try:
        return json.dumps(result, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"returned what JSON cannot say: {error}") from error


def cut(text: str, most_tokens: int) -> str:
    """The text, or its beginning and a note, within the most tokens (of four characters)."""
    if len(text) <= most_tokens * 4:
        return text
    note = f"\n[cut: the result has {len(text):,} characters]"
    return text[: max(0, most_tokens * 4 - len(note))] + note


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
