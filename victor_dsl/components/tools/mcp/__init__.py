"""The tools of an MCP server: a process of this machine, or a server over HTTP."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from victor_dsl.components.tools.mcp.config import Config
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import ToolSource
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import asyncio

    from victor_dsl.components.tools.mcp import launch
else:
    asyncio = Lazy("asyncio")
    launch = Lazy("victor_dsl.components.tools.mcp.launch")

__all__ = ["EXAMPLE", "Config", "build"]

EXAMPLE = """
type: mcp
name: clock
command: [mcp-server-time]
cost: free
"""


def build(config: Config, context: Context) -> AbstractAsyncContextManager[ToolSource]:
    """The tools; the server is started, or connected to, when they are entered."""
    return _opened(config, context)


@asynccontextmanager
async def _opened(config: Config, context: Context) -> AsyncIterator[ToolSource]:
    """The tools. The server starts while the SDK is imported, which takes about as long."""
    if importlib.util.find_spec("mcp") is None:
        hint = "install it with: pip install 'victor_dsl[mcp]'"
        raise ComponentError("needs the package mcp", node=context.node, hint=hint)
    secrets = {name: context.secret(secret) for name, secret in config.secret_env.items()}
    process = None
    if config.command is not None:
        directory = config.cwd or str(context.directory)
        process = launch.Launch(config.command, directory, {**config.env, **secrets})
    try:
        if process is not None:
            await process.start_early()
        source = await asyncio.to_thread(importlib.import_module, "victor_dsl.components.tools.mcp.source")
        async with source.mcp_tools(config, context, process, secrets.values()) as tools:
            yield tools
    finally:
        if process is not None:
            await process.close()
