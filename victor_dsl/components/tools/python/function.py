"""A Python function that a model calls: arguments are checked against its signature, and its result becomes text or images."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import NoneType
from typing import Any

import orjson

from victor_dsl.components.tools.python.signature import Signature, signature_of
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolConfig
from victor_dsl.language.importing import import_function
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.language.printing import in_function, routed_output
from victor_dsl.values.images import bytes_note, image_part, text_part
from victor_dsl.values.message import Content, Part, ToolCall, without_lone_surrogates
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

MOST_THREADS = 32
"""How many calls of one function may block at once; further ones wait, within their timeout."""

MOST_PARTS = 100
"""In a longer list images are not looked for."""

_NO_IMAGE = (str, dict, int, float, NoneType)
_BYTES = (bytes, bytearray, memoryview)


@asynccontextmanager
async def function_tool(name: str, config: ToolConfig, context: Context) -> AsyncIterator[FunctionTool]:
    """The tool of the function `module:function`, its module imported. Raises ComponentError for one that cannot be a tool."""
    with routed_output():
        try:
            with in_function():
                function = import_function(name, context.directory)
            signature = signature_of(function)
        except ComponentError as error:
            message = f"the function '{name}': {error.message}"
            raise ComponentError(message, node=context.node, hint=error.hint) from error
        tool = config.tool(config.name or "python", signature.description, signature.schema, context.node)
        yield FunctionTool(function, signature, tool)


class FunctionTool:
    """One function, offered under the item's name."""

    def __init__(self, function: Callable[..., Any], signature: Signature, tool: Tool) -> None:
        self._function = function
        self._signature = signature
        self._is_async = inspect.iscoroutinefunction(function)
        self._off_loop = OffLoop(MOST_THREADS)
        self.fixed_tools = (tool,)

    async def tools(self) -> Sequence[Tool]:
        return self.fixed_tools

    async def call(self, call: ToolCall, turn: Turn) -> Content:
        positional, named = self._signature.read(call.arguments, turn)
        with in_function():
            if self._is_async:
                result = await self._function(*positional, **named)
            else:
                result = await self._off_loop.run(self._function, *positional, **named)
                if inspect.isawaitable(result):
                    result = await result
            if isinstance(result, _NO_IMAGE):
                return text_of(result)
            return await self._off_loop.run(content_of, result)  # drawing an image may take long


def content_of(result: Any) -> Content:
    """A result as the model receives it: images as images, alone or in a list, and anything else as text. Raises ToolError."""
    if (image := _image(result)) is not None:
        return (image,)
    if isinstance(result, list | tuple) and len(result) <= MOST_PARTS:
        images = [_image(item) for item in result]
        if any(images):
            return tuple(image or text_part(text_of(item)) for image, item in zip(images, result, strict=True))
    return text_of(result)


def _image(value: Any) -> Part | None:
    """The image that the value is: its bytes, or an object that notebooks show as one, such as Pillow's images."""
    if isinstance(value, _BYTES):
        return image_part(bytes(value))
    draw = None if isinstance(value, type) else getattr(value, "_repr_png_", None)
    if not callable(draw):
        return None
    content = draw()
    return image_part(content) if isinstance(content, bytes) else None


def text_of(result: Any) -> str:
    """A result as the model receives it: text unchanged, bytes as UTF-8 or as a note, anything else as JSON. Raises ToolError."""
    if isinstance(result, str):
        return without_lone_surrogates(result)
    if isinstance(result, _BYTES):
        return _bytes_text(bytes(result))
    try:
        return orjson.dumps(result, default=_to_json, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        pass  # it is nested too deeply for orjson, or has integers over 64 bits
    try:
        return json.dumps(result, default=_to_json)
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolError(f"the function's result cannot be written as JSON: {error}") from error


def _bytes_text(content: bytes) -> str:
    with suppress(UnicodeDecodeError):
        if "\0" not in (text := content.decode()):
            return text
    return bytes_note(content)


def _to_json(value: Any) -> Any:
    if isinstance(value, _BYTES):
        return _bytes_text(bytes(value))
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)
