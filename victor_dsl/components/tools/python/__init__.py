"""The tool that is a Python function."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import FunctionName, ToolConfig
from victor_dsl.language.kinds import ToolSource


class Config(ToolConfig):
    """Offers a Python function to the model.

    The signature is the schema: types, defaults, `Literal`, `Optional`, lists, maps, dataclasses, pydantic models
    and TypedDicts (before Python 3.12, those of `typing_extensions`). The docstring's first paragraph is the description; a
    section `Args:` describes the arguments. A parameter `turn: Turn` receives the turn and is not in the schema. A plain
    function runs in a thread, so it may block; an `async def` runs on the event loop. The model receives what the function
    returns, as text or as JSON. Bytes of a PNG, JPEG, GIF or WebP file are shown to it as an image, and so are objects with a
    method `_repr_png_`, such as Pillow's images; a list may mix images and texts. What the function prints goes to standard error.
    """

    function: Annotated[str, FunctionName()] = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="The function, as `module:function`. The module is looked for in the spec's folder, then on Python's path.",
        examples=["support.tools:lookup_order"],
    )


EXAMPLE = """
type: python
name: lookup_order
function: "support.tools:lookup_order"
cost: low
domain: orders
timeout_seconds: 10
"""


def build(config: Config, context: Context) -> AbstractAsyncContextManager[ToolSource]:
    """The tool; the module is imported when it is entered."""
    from victor_dsl.components.tools.python.function import function_tool

    return function_tool(config.function, config, context)
