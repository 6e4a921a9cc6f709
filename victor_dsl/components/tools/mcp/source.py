"""The tools of an MCP server: listed under the item's name, and called through a connection for each tenant."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from functools import partial

import mcp_types
from mcp.client import Transport

from victor_dsl.components.http_tools import Redaction, is_text_type, secret_headers
from victor_dsl.components.tools.mcp.config import Config
from victor_dsl.components.tools.mcp.connection import Connection, OnLost, Server
from victor_dsl.components.tools.mcp.launch import Launch
from victor_dsl.components.tools.mcp.oauth import TokenSource
from victor_dsl.components.tools.mcp.process import server_process
from victor_dsl.components.tools.mcp.streamable_http import http_server
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.storage.ending import to_the_end
from victor_dsl.values.images import bytes_note, from_base64, image_part, text_part
from victor_dsl.values.message import Content, Part, ToolCall, without_lone_surrogates
from victor_dsl.values.tool import COMBINING, Tool, tools_tokens
from victor_dsl.values.turn import Turn

LONGEST_DESCRIPTION = 8_000
"""How many characters of a tool's description the model sees."""

LONGEST_LOG_LINE = 2_000

logger = logging.getLogger("victor_dsl.mcp")


@asynccontextmanager
async def mcp_tools(
    config: Config, context: Context, launch: Launch | None, secrets: Collection[str]
) -> AsyncIterator[McpTools]:
    """The tools, connected to the server that `launch` starts, or that has the Config's URL. `secrets` are those of its environment.

    Raises ComponentError where the server cannot be reached.
    """
    kind = InstructiveMcpTools if config.instructions else McpTools
    tools = kind(config, _server(config, context, launch, secrets), context)
    try:
        await tools.open()
        yield tools
    finally:
        await tools.close()


class McpTools:
    """One server's tools. Each tenant has its own connection, unless the server is stateless."""

    def __init__(self, config: Config, server: Server, context: Context) -> None:
        self._config = config
        self._server = server
        self._context = context
        self._prefix = f"{config.name or 'mcp'}__"
        self._tools: tuple[Tool, ...] = ()
        self._tools_of: dict[str | None, tuple[Tool, ...]] = {}  # of tenants whose connections list other tools
        self._connections: dict[str | None, Connection] = {}  # by tenant, the least recently used first

    async def open(self) -> None:
        """Connects and lists the tools. Raises ComponentError."""
        first = self._connections[None] = Connection(self._server, partial(self._update, None))
        first.start()
        await first.first()
        if (fault := self._too_many(self._tools)) is not None:
            raise ComponentError(fault)

    async def close(self) -> None:
        """Ends all connections at the same time, so that a slow one does not delay the others."""
        connections = list(self._connections.values())
        self._connections.clear()
        await to_the_end(_close(connections))

    @property
    def server(self) -> str:
        """What the server calls itself."""
        return self._server.redaction.redact(self._connections[None].name)

    async def tools(self) -> Sequence[Tool]:
        return self._tools

    async def tools_for(self, turn: Turn) -> Sequence[Tool]:
        """The tools of the turn's tenant: those of its own connection, once that is made."""
        return self._tools_of.get(turn.tenant, self._tools)

    async def call(self, call: ToolCall, turn: Turn) -> Content:
        connection = await self._connection(None if self._config.stateless else turn.tenant)
        arguments = json.loads(call.arguments or "{}")  # not orjson: integers of any size stay whole
        result = await connection.call(call.name.removeprefix(self._prefix), arguments)
        parts = [self._redacted(part) for part in parts_of(result)]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        if result.is_error:
            raise ToolError(text or "the tool failed without a message")
        return text if all(part["type"] == "text" for part in parts) else tuple(parts)

    def _redacted(self, part: Part) -> Part:
        return text_part(self._server.redaction.redact(part["text"])) if part["type"] == "text" else part

    async def _connection(self, tenant: str | None) -> Connection:
        """The tenant's connection, begun where there is none yet. Raises ToolError where there would be too many."""
        connection = self._connections.pop(tenant, None)
        if connection is not None:
            self._connections[tenant] = connection  # last: the most recently used
            return connection
        ended = None
        if len(self._connections) > self._config.max_tenants:  # the connection that lists the tools does not count
            idle = (key for key, other in self._connections.items() if key is not None and not other.calls)
            if (oldest := next(idle, None)) is None:
                raise ToolError("too many tenants are calling this MCP server at once; call it again later")
            ended = self._connections.pop(oldest)
            self._tools_of.pop(oldest, None)
        connection = self._connections[tenant] = Connection(self._server, partial(self._update, tenant))
        connection.start()
        if ended is not None:
            await ended.close()
        return connection

    def _update(self, tenant: str | None, listed: list[mcp_types.Tool]) -> None:
        """Replaces a connection's tools by those that it lists; they stay the same object where nothing changed."""
        offered = [tool for tool in listed if self._offers(tool)]
        tools = tuple({tool.name: self._tool(tool) for tool in reversed(offered)}.values())[::-1]  # the first of a name
        if self._tools and (fault := self._too_many(tools)) is not None:
            self._context.report(f"the new list of tools is not used: {fault}", {"code": "mcp-tools"})
        elif tenant is None:
            self._tools = self._tools if tools == self._tools else tools
        elif tools == self._tools:
            self._tools_of.pop(tenant, None)
        elif tools != self._tools_of.get(tenant):
            self._tools_of[tenant] = tools

    def _offers(self, tool: mcp_types.Tool) -> bool:
        name, allow, deny = tool.name, self._config.allow, self._config.deny
        if any(fnmatchcase(name, glob) for glob in deny):
            return False
        if allow is not None and not any(fnmatchcase(name, glob) for glob in allow):
            return False
        if self._server.redaction.redact(name) != name:
            self._server.report_once(f"the tool '{name}' of the MCP server is left out: its name contains a secret")
            return False
        if tool.execution is not None and tool.execution.task_support == "required":
            self._server.report_once(f"the tool '{name}' of the MCP server is left out: it runs only as a task")
            return False
        return True

    def _tool(self, tool: mcp_types.Tool) -> Tool:
        description = self._server.redaction.redact(tool.description or tool.title or "")[:LONGEST_DESCRIPTION]
        schema = {"type": "object", "properties": {}, **tool.input_schema}
        if combined := [keyword for keyword in COMBINING if keyword in tool.input_schema]:
            message = (
                f"the schema of the tool '{tool.name}' has `{combined[0]}` at its top, which providers refuse: "
                "models see the arguments of all its cases, and the server checks them"
            )
            self._server.report_once(message)
        return self._config.tool(self._prefix + tool.name, description, schema, self._context.node)

    def _too_many(self, tools: Sequence[Tool]) -> str | None:
        """The fault of definitions that take more tokens than the item allows."""
        most, tokens = self._config.max_tokens, tools_tokens(tools)
        if most is None or tokens <= most:
            return None
        return f"its {len(tools)} tools take {tokens:,} tokens, and max_tokens is {most:,}; name fewer in `allow`"


class InstructiveMcpTools(McpTools):
    """One server's tools, and its instructions as a piece of the system prompt."""

    async def contribute(self, turn: Turn) -> str:
        """The instructions, under a line that says whose they are; empty if there are none."""
        text = self._server.redaction.redact(self._connections[None].instructions.strip())
        return f"About the tools {self._prefix}*, by their server:\n\n{without_lone_surrogates(text)}" if text else ""


def parts_of(result: mcp_types.CallToolResult) -> list[Part]:
    """Texts and images, and a note for any other content; the structured result where there is no content."""
    if not result.content and result.structured_content is not None:
        return [text_part(json.dumps(result.structured_content, ensure_ascii=False))]
    return [_part(block) for block in result.content]


def _part(block: mcp_types.ContentBlock) -> Part:
    match block:
        case mcp_types.TextContent():
            return text_part(block.text)
        case mcp_types.ImageContent():
            return _of_bytes("image", block.mime_type, block.data)
        case mcp_types.AudioContent():
            return _of_bytes("audio", block.mime_type, block.data)
        case mcp_types.ResourceLink():
            return text_part(f"[a link to {block.title or block.name}: {block.uri}]")
        case mcp_types.EmbeddedResource():
            inner = block.resource
            if isinstance(inner, mcp_types.BlobResourceContents):
                return _of_bytes(f"resource {inner.uri}", inner.mime_type or "unknown type", inner.blob)
            return text_part(inner.text)


def _of_bytes(what: str, type: str, base64: str) -> Part:
    """An image where the bytes are one, whatever type the server calls them; the text of a text file; else a note."""
    content = from_base64(base64)
    if content is None:
        return text_part(f"[{what}: {type}; its base64 cannot be read]")
    if (image := image_part(content)) is not None:
        return image
    if is_text_type(type):
        return text_part(content.decode("utf-8", "replace"))
    return text_part(bytes_note(content, f"{what}: {type}"))


def _server(config: Config, context: Context, launch: Launch | None, secrets: Collection[str]) -> Server:
    headers = secret_headers(config.secret_headers, config.bearer_token, context)
    client_secret = context.secret(config.auth.client_secret) if config.auth is not None else ""
    redaction = Redaction([*secrets, *headers.values(), client_secret])
    tokens = None
    if config.auth is not None:
        tokens = TokenSource(config.auth, client_secret, config.url or "", context.clock, redaction)

    def transport(on_lost: OnLost) -> Transport:
        if launch is None:
            return http_server(config.url or "", {**config.headers, **headers}, config.startup_seconds, tokens)
        last_words: deque[str] = deque(maxlen=1)

        def on_stderr(line: str) -> None:
            last_words.append(redaction.redact(line)[:LONGEST_LOG_LINE])
            logger.info("%s: %s", context.node, last_words[0])

        def on_end(reason: str) -> None:
            on_lost(f"{reason}; its last words: {last_words[0][:200]}" if last_words else reason)

        def on_stray_line(line: str) -> None:
            logger.info("%s printed: %s", context.node, redaction.redact(line))
            message = "the MCP server prints lines to its standard output that are not messages; they are ignored"
            context.report(message, {"code": "mcp-server"})

        return server_process(launch, on_end=on_end, on_stderr=on_stderr, on_stray_line=on_stray_line)

    return Server(transport, redaction, config.startup_seconds, context, config.elicitation)


async def _close(connections: Iterable[Connection]) -> None:
    await asyncio.gather(*(connection.close() for connection in connections))
