"""An MCP server over streamable HTTP, by the protocol's own SDK: `python http_server.py PORT json|sse [stateless]`.

It prints its port when it listens; 0 asks for a free one.
"""

from __future__ import annotations

import json
import socket
import sys

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("shop")


@server.tool()
def lookup(order: int) -> str:
    """Looks an order up."""
    return f"order {order} is on its way"


@server.tool()
def huge() -> str:
    """Says too much."""
    return "y" * 18_000_000


@server.tool()
async def headers(context: Context) -> str:
    """Says what the request carried."""
    return json.dumps(dict(context.headers or {}))


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    app = server.streamable_http_app(json_response=sys.argv[2] == "json", stateless_http="stateless" in sys.argv)
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])
