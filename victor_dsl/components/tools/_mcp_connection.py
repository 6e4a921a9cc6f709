"""One connection to an MCP server, kept up by a task of its own: made anew when it is lost, with growing pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from attrs import define, field, frozen
from mcp import Client
from mcp.client import Transport
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ToolsListChanged
from mcp_types import CONNECTION_CLOSED, CallToolResult, Implementation, Tool, ToolListChangedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from victor_dsl.components.tools._mcp_failures import Failures
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.storage.ending import to_the_end

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
CLOSING_SECONDS = 1.0
"""After so long a connection that is told to end is told again."""
MOST_PAGES = 100
"""A server whose list of tools never ends is heard so long."""

Lost = Callable[[str], None]


@frozen
class Server:
    """What connections to one server have in common. `transport` makes one, which says when it is lost, and why."""

    transport: Callable[[Lost], Transport]
    failures: Failures
    startup_seconds: float
    context: Context


@define(eq=False)
class Connection:
    """A connection that is made anew when it is lost: at once after one that worked, then with growing pauses.

    `listed` hears the server's tools whenever the connection is made and when they change. `calls` are under way.
    """

    server: Server
    listed: Callable[[list[Tool]], None]
    calls: int = 0
    _client: Client | None = None
    _settled: asyncio.Event = field(factory=asyncio.Event)  # it is up, or it is known to be down
    _doubted: asyncio.Event = field(factory=asyncio.Event)  # the list may have changed, or the server hangs
    _gone: asyncio.Event = field(factory=asyncio.Event)
    _closing: bool = False
    _reason: str = "it was never reached"
    _failures: int = 0
    _next_try: float = 0.0
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to connect."""
        self._task = asyncio.create_task(self._keep(), name=f"connection of {self.server.context.node}")

    async def first(self) -> None:
        """Waits for the first connection. Raises ComponentError where it fails."""
        await self._settled.wait()
        if self._client is None:
            raise ComponentError(f"the MCP server {self._reason}")

    async def close(self) -> None:
        """Ends the connection, and the server where it is a process of ours."""
        self._closing = True
        if self._task is not None:
            await to_the_end(_ended(self._task))

    async def call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """The result of one call. Raises ToolError where there is none; the next call may find the server back."""
        self.calls += 1
        try:
            await self._settled.wait()
            if (client := self._client) is None:
                wait = max(0.0, self._next_try - self.server.context.clock.monotonic())
                raise ToolError(
                    f"the MCP server is down: it {self._reason}; it is tried again in {max(1, round(wait))} s"
                )
            result = await self._answer(client, name, arguments)
        finally:
            self.calls -= 1
        self._failures = 0
        return result

    async def _answer(self, client: Client, name: str, arguments: dict[str, Any]) -> CallToolResult:
        try:
            return await client.call_tool(name, arguments)
        except asyncio.CancelledError:
            self._doubted.set()  # out of time, perhaps: does the server still answer anything?
            raise
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                told = f"the MCP server {self._reason}" if self._gone.is_set() else "the connection was lost"
                raise ToolError(f"{told} before it answered the call") from error
            self._doubted.set()  # a server over HTTP may have forgotten this session
            raise ToolError(f"the MCP server {self.server.failures.told(error)}") from error
        except Exception as error:  # a result that is none: the SDK tells it in many ways
            raise ToolError(f"the MCP server gave no usable result: {self.server.failures.told(error)}") from error

    async def _keep(self) -> None:
        clock = self.server.context.clock
        ever_up = False
        while True:
            up_since: float | None = None
            try:
                async with AsyncExitStack() as stack:
                    client = await self._connect(stack)
                    up_since, ever_up = clock.monotonic(), True
                    await self._watch(client)
            except Exception as error:  # noqa: BLE001 -- whatever breaks a connection, the next one may hold
                if not self._gone.is_set():
                    self._reason = self.server.failures.told(error)
            finally:
                self._client = None
            if self._closing:  # a cancellation is lost where the SDK raises another error in its place
                return
            if ever_up:
                self.server.context.report(f"the MCP server {self._reason}", {"code": "mcp-server"})
            if pause := self._pause(up_since):
                self._next_try = clock.monotonic() + pause
                self._settled.set()
                await clock.sleep(pause)
            self._settled.clear()

    def _pause(self, up_since: float | None) -> float:
        """How long to wait before the next try: not at all after a connection that worked."""
        if up_since is not None and self.server.context.clock.monotonic() - up_since > LONGEST_PAUSE_SECONDS:
            self._failures = 0
        self._failures += 1
        if up_since is not None and self._failures == 1:
            return 0.0
        longest: float = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS)
        return longest * self.server.context.random.uniform(0.5, 1)

    async def _connect(self, stack: AsyncExitStack) -> Client:
        self._gone.clear()
        self._doubted.clear()
        client = Client(
            self.server.transport(self._lose),
            cache=None,
            message_handler=self._hear,
            client_info=Implementation(name="victor_dsl", version="1"),
        )
        async with asyncio.timeout(self.server.startup_seconds):
            await stack.enter_async_context(client)
            tools = await _all_tools(client)
        self.listed(tools)
        self._client = client
        self._settled.set()
        return client

    async def _watch(self, client: Client) -> None:
        """Waits until the connection is lost; asks for the tools again when they may have changed."""
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self._gone.wait())
            listening = group.create_task(self._listen(client))
            try:
                while not waiting.done():
                    doubt = group.create_task(self._doubted.wait())
                    await asyncio.wait([waiting, doubt], return_when=asyncio.FIRST_COMPLETED)
                    doubt.cancel()
                    if self._doubted.is_set() and not waiting.done():
                        self._doubted.clear()
                        async with asyncio.timeout(self.server.startup_seconds):
                            tools = await _all_tools(client)
                        self.listed(tools)
            finally:
                self._settled.clear()
                self._client = None
                waiting.cancel()
                listening.cancel()

    async def _listen(self, client: Client) -> None:
        """Hears of changes from a server of the protocol of 2026 on, which must be asked for them."""
        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or tools is None or not tools.list_changed:
            return
        with suppress(MCPError):  # a server that promised what it has not; its tools stay as they are
            async with client.listen(tools_list_changed=True) as changes:
                async for change in changes:
                    if isinstance(change, ToolsListChanged):
                        self._doubted.set()

    async def _hear(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._doubted.set()

    def _lose(self, reason: str) -> None:
        self._reason = reason
        self._settled.clear()  # calls wait for the next connection
        self._client = None
        self._gone.set()


async def _all_tools(client: Client) -> list[Tool]:
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancels the task until it is done: it may first say goodbye to a server that does not listen."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CLOSING_SECONDS)
