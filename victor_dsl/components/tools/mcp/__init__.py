"""The tools of an MCP server: a process of this machine, or a server over HTTP."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from victor_dsl.components.tools.mcp.config import Config
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import ToolSource

__all__ = ["EXAMPLE", "Config", "build"]

EXAMPLE = """
type: mcp
name: clock
command: [mcp-server-time]
cost: free
"""


def build(config: Config, context: Context) -> AbstractAsyncContextManager[ToolSource]:
    """The tools; the server is started, or connected to, when they are entered."""
    from victor_dsl.components.tools.mcp.source import mcp_tools

    return mcp_tools(config, context)
