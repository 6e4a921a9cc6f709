"""The tools of an MCP server: listed under the item's name, called through a connection for each tenant."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import mcp_types
import orjson
from mcp.client import Transport

from victor_dsl.components.tools._mcp_connection import Connection, Lost, Server
from victor_dsl.components.tools._mcp_content import text_of
from victor_dsl.components.tools._mcp_failures import Failures
from victor_dsl.components.tools._mcp_http import http_server
from victor_dsl.components.tools._mcp_process import Launch, server_process
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.storage.ending import to_the_end
from victor_dsl.values.message import ToolCall
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.tools.mcp import Config

LONGEST_DESCRIPTION = 8_000
"""So many characters of a tool's description are shown to the model."""

LONGEST_LOG_LINE = 2_000

logger = logging.getLogger("victor_dsl.mcp")


@asynccontextmanager
async def mcp_tools(config: Config, context: Context) -> AsyncIterator[McpTools]:
    """The tools, connected. Raises ComponentError where the server cannot be reached."""
    tools = McpTools(config, _server(config, context), context)
    try:
        await tools.open()
        yield tools
    finally:
        await tools.close()


class McpTools:
    """One server's tools. Each tenant has a connection of its own, unless the server keeps no state."""

    def __init__(self, config: Config, server: Server, context: Context) -> None:
        self._config = config
        self._server = server
        self._context = context
        self._prefix = f"{config.name or 'mcp'}__"
        self._tools: tuple[Tool, ...] = ()
        self._connections: dict[str | None, Connection] = {}  # the least recently used first

    async def open(self) -> None:
        """Connects, and learns the tools. Raises ComponentError."""
        first = self._connections[None] = Connection(self._server, self._learn)
        first.start()
        await first.first()
        if (told := self._too_many(self._tools)) is not None:
            raise ComponentError(told)

    async def close(self) -> None:
        """Ends every connection, all at the same time: one that lingers holds up no other."""
        connections = list(self._connections.values())
        self._connections.clear()
        await to_the_end(_close(connections))

    async def tools(self) -> Sequence[Tool]:
        return self._tools

    async def call(self, call: ToolCall, turn: Turn) -> str:
        try:
            arguments = orjson.loads(call.arguments or "{}")
        except orjson.JSONDecodeError as error:
            raise ToolError(f"arguments are not JSON: {error}") from error
        if not isinstance(arguments, dict):
            raise ToolError("arguments must be a JSON object")
        connection = await self._connection(None if self._config.stateless else turn.tenant)
        result = await connection.call(call.name.removeprefix(self._prefix), arguments)
        text = self._server.failures.without_secrets(text_of(result))
        if result.is_error:
            raise ToolError(text or "the tool failed and said nothing")
        return text

    async def _connection(self, tenant: str | None) -> Connection:
        """The tenant's connection, begun where there is none yet. Raises ToolError where there would be too many."""
        connection = self._connections.pop(tenant, None)
        if connection is not None:
            self._connections[tenant] = connection  # last: the most recently used
            return connection
        ended = None
        if len(self._connections) > self._config.max_tenants:  # one is for the list of tools
            idle = (key for key, other in self._connections.items() if key is not None and not other.calls)
            if (oldest := next(idle, None)) is None:
                raise ToolError("too many tenants are calling this MCP server at once; call it again later")
            ended = self._connections.pop(oldest)
        connection = self._connections[tenant] = Connection(self._server, _nobody)
        connection.start()
        if ended is not None:
            await ended.close()
        return connection

    def _learn(self, listed: list[mcp_types.Tool]) -> None:
        """Takes the server's list up; the former objects stay where nothing changed."""
        offered = [tool for tool in listed if self._offers(tool.name)]
        tools = tuple({tool.name: self._tool(tool) for tool in reversed(offered)}.values())[::-1]
        if self._tools and (told := self._too_many(tools)) is not None:
            self._context.report(f"the list of tools changed: {told}; it stays as it was", {"code": "mcp-tools"})
        elif tools != self._tools:
            self._tools = tools

    def _offers(self, name: str) -> bool:
        allow, deny = self._config.allow, self._config.deny
        if any(fnmatchcase(name, glob) for glob in deny):
            return False
        return allow is None or any(fnmatchcase(name, glob) for glob in allow)

    def _tool(self, tool: mcp_types.Tool) -> Tool:
        return Tool(
            name=self._prefix + tool.name,
            description=(tool.description or tool.title or "")[:LONGEST_DESCRIPTION],
            parameters={"type": "object", "properties": {}, **tool.input_schema},
            cost=self._config.cost,
            cost_usd=self._config.cost_usd,
            domain=self._config.domain,
            source=self._context.node,
        )

    def _too_many(self, tools: Sequence[Tool]) -> str | None:
        """What to say where the definitions take more tokens than the item allows."""
        most, tokens = self._config.max_tokens, sum(tool.tokens for tool in tools)
        if most is None or tokens <= most:
            return None
        return f"its {len(tools)} tools take {tokens:,} tokens, and max_tokens is {most:,}; name fewer in `allow`"


def _server(config: Config, context: Context) -> Server:
    def texts(secrets: dict[str, Secret]) -> dict[str, str]:
        return {name: context.secret(secret) for name, secret in secrets.items()}

    environment, headers = texts(config.secret_env), texts(config.secret_headers)
    secrets = [*environment.values(), *headers.values()]
    if config.bearer_token is not None:
        secrets.append(context.secret(config.bearer_token))
        headers["Authorization"] = f"Bearer {secrets[-1]}"
    failures = Failures(config.startup_seconds, tuple(sorted(secrets, key=len, reverse=True)))

    def transport(lost: Lost) -> Transport:
        if config.command is None:
            return http_server(config.url or "", {**config.headers, **headers}, config.startup_seconds)
        launch = Launch(config.command, config.cwd or str(context.directory), {**config.env, **environment})
        last: deque[str] = deque(maxlen=1)

        def said(line: str) -> None:
            last.append(failures.without_secrets(line)[:LONGEST_LOG_LINE])
            logger.info("%s: %s", context.node, last[0])

        def ended(reason: str) -> None:
            lost(f"{reason}; it last said: {last[0][:200]}" if last else reason)

        def junk(line: str) -> None:
            logger.info("%s printed: %s", context.node, failures.without_secrets(line))
            context.report(
                "the MCP server prints to its standard output what is no message; it is ignored", {"code": "mcp-server"}
            )

        return server_process(launch, lost=ended, said=said, junk=junk)

    return Server(transport, failures, config.startup_seconds, context)


async def _close(connections: Iterable[Connection]) -> None:
    await asyncio.gather(*(connection.close() for connection in connections))


def _nobody(listed: list[mcp_types.Tool]) -> None:
    """The list of a tenant's connection: the first connection's counts for all."""
