"""One connection to an MCP server, kept up by its own task: made again when it is lost, with growing pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx2
from attrs import define, field, frozen
from mcp import Client, InputRequiredRoundsExceededError
from mcp.client import Transport
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ToolsListChanged
from mcp_types import CONNECTION_CLOSED, CallToolResult, Implementation, Tool, ToolListChangedNotification
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from victor_dsl.components.http_tools import Redaction
from victor_dsl.components.tools.mcp.config import Elicitation
from victor_dsl.components.tools.mcp.elicitation import Elicitations
from victor_dsl.components.tools.mcp.oauth import NOT_AUTHORIZED
from victor_dsl.components.tools.mcp.repair import fault_of, repaired
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.component import Context
from victor_dsl.language.time_limit import renewal
from victor_dsl.storage.ending import to_the_end

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0

CLOSING_SECONDS = 1.0
"""How long a cancelled connection may take to end before it is cancelled again."""

MOST_PAGES = 100
"""How many pages of a list of tools are read; a faulty server may send them without end."""

MOST_REASON_CHARACTERS = 500

MOST_REPORTS = 1000
"""How many traits of a server are reported; a faulty one may list bad tools without end."""

UNSUPPORTED = {
    "Sampling not supported": "an answer of a model (sampling)",
    "List roots not supported": "folders (roots)",
}
"""What the SDK answers for us, and what the server asked for."""

OnLost = Callable[[str], None]


@frozen
class Server:
    """What the connections to one server have in common.

    `transport` opens one, and calls its argument with the reason when the server ends it. `redaction` is applied to every text of the
    server.
    """

    transport: Callable[[OnLost], Transport]
    redaction: Redaction
    startup_seconds: float
    context: Context
    elicitation: Elicitation = "decline"
    _reported: set[str] = field(factory=set)

    def report_once(self, message: str, code: str = "mcp-tools") -> None:
        """Reports a lasting trait of the server, which every connection and every list of tools shows again."""
        message = self.redaction.redact(message)
        if message not in self._reported and len(self._reported) < MOST_REPORTS:
            self._reported.add(message)
            self.context.report(message, {"code": code})

    def failure(self, error: BaseException) -> str:
        """The failure in plain words, to follow "the MCP server"."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        match error:
            case MCPError() if error.message in UNSUPPORTED:
                reason = f"asks for {UNSUPPORTED[error.message]}, which this client does not offer"
            case MCPError() if error.message.startswith(NOT_AUTHORIZED):
                reason = f"was not called: {error.message}"
            case MCPError():
                reason = f"refused: {error.message}"
            case InputRequiredRoundsExceededError():
                reason = f"asked for input {error.max_rounds} times without an answer to the call"
            case ValidationError():
                reason = f"broke the protocol: {fault_of(error)}"
            case FileNotFoundError() | NotADirectoryError() | PermissionError():
                reason = f"cannot be started: '{error.filename}': {error.strerror}"
                if "/" not in str(error.filename):
                    reason += "; install the program, or write its whole path"
            case TimeoutError():
                reason = f"did not answer within {self.startup_seconds:g} s"
            case httpx2.ConnectError():
                reason = f"cannot be reached: {error}"
            case _:
                reason = f"failed: {describe(error)}"
        return self.redaction.redact(reason)[:MOST_REASON_CHARACTERS]


@define(eq=False)
class Connection:
    """A connection that is made again when it is lost: at once after one that worked, then with growing pauses.

    `on_tools` receives the server's tools whenever the connection is made and when they change. `calls` counts the calls in
    progress. `instructions` are what the server says of its tools, `name` what it calls itself.

    The connection is in one of three states, which `_settled` and `_client` express:

        connecting   not settled              calls wait
        up           settled, a client        calls are sent
        down         settled, no client       calls fail at once, and say when the next try is
    """

    server: Server
    on_tools: Callable[[list[Tool]], None]
    calls: int = 0
    instructions: str = ""
    name: str = ""
    _client: Client | None = None
    _settled: asyncio.Event = field(factory=asyncio.Event)
    _lost: asyncio.Event = field(
        factory=asyncio.Event
    )  # the transport has ended: `_watch` returns, `_keep` connects again
    _recheck: asyncio.Event = field(
        factory=asyncio.Event
    )  # `_watch` lists the tools: they may differ, or the server hang
    _closing: bool = False  # `_keep` ends instead of connecting again
    _reason: str = "was never reached"
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
        """Ends the connection, and the server if it is a process that this connection started."""
        self._closing = True
        if self._task is not None:
            await to_the_end(_ended(self._task))

    async def call(self, name: str, arguments: dict[str, Any]) -> CallToolResult:
        """The result of one call. Raises ToolError where there is none; the server may be back for the next call."""
        self.calls += 1
        try:
            await self._settled.wait()
            if (client := self._client) is None:
                wait = max(1, round(self._next_try - self.server.context.clock.monotonic()))
                raise ToolError(f"the MCP server {self._reason}; it is tried again in {wait} s")
            result = await self._answer(client, name, arguments)
        finally:
            self.calls -= 1
        self._failures = 0
        return result

    async def _answer(self, client: Client, name: str, arguments: dict[str, Any]) -> CallToolResult:
        renew = renewal()  # here: progress arrives in another task

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            renew()

        try:
            return await client.call_tool(name, arguments, progress_callback=on_progress)
        except asyncio.CancelledError:
            self._recheck.set()  # the call may have run out of time because the server hangs
            raise
        except MCPError as error:
            if error.code == CONNECTION_CLOSED:
                cause = f"the MCP server {self._reason}" if self._lost.is_set() else "the connection was lost"
                raise ToolError(f"{cause} before it answered the call") from error
            self._recheck.set()  # a server over HTTP may have forgotten this session
            raise ToolError(f"the MCP server {self.server.failure(error)}") from error
        except Exception as error:  # a malformed result: the SDK raises many types
            raise ToolError(f"the MCP server's result cannot be read; it {self.server.failure(error)}") from error

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
            except BaseException as error:  # whatever breaks a connection, the next one may work
                if not is_fault(error):
                    raise  # the connection is being closed
                if not self._lost.is_set():  # else the transport has reported the reason
                    self._reason = self.server.failure(error)
            finally:
                self._client = None
            if self._closing:  # the SDK may raise another error in place of a cancellation
                return
            if ever_up:
                self.server.context.report(f"the MCP server {self._reason}", {"code": "mcp-server"})
            if pause := self._pause(up_since):
                self._next_try = clock.monotonic() + pause
                self._settled.set()  # down
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
        # Before the transport is opened: a server may end, or change its tools, while the connection is still being made.
        self._lost.clear()
        self._recheck.clear()
        client = Client(
            repaired(self.server.transport(self._lose), self.server.report_once),
            cache=None,
            message_handler=self._receive,
            client_info=Implementation(name="victor_dsl", version="1"),
            elicitation_callback=Elicitations(self.server.elicitation, self._declined).answer,
        )
        async with asyncio.timeout(self.server.startup_seconds):
            await stack.enter_async_context(client)
            tools = await _all_tools(client)
        self.instructions = client.instructions or ""
        self.name = client.server_info.name if client.server_info is not None else ""
        self.on_tools(tools)
        self._client = client  # before `_settled`: whoever waits for it finds the client
        self._settled.set()
        return client

    async def _watch(self, client: Client) -> None:
        """Waits until the connection is lost; lists the tools again when they may have changed."""
        async with asyncio.TaskGroup() as group:
            lost = group.create_task(self._lost.wait())
            listening = group.create_task(self._listen(client))
            try:
                while not lost.done():
                    recheck = group.create_task(self._recheck.wait())
                    await asyncio.wait([lost, recheck], return_when=asyncio.FIRST_COMPLETED)
                    recheck.cancel()
                    if self._recheck.is_set() and not lost.done():
                        self._recheck.clear()  # before the list is read: a change while it is read sets it again
                        async with asyncio.timeout(self.server.startup_seconds):
                            tools = await _all_tools(client)
                        self.on_tools(tools)
            finally:
                self._settled.clear()  # before the client is gone: calls wait for the next connection instead of failing
                self._client = None
                lost.cancel()
                listening.cancel()

    async def _listen(self, client: Client) -> None:
        """Subscribes to changes of the tools: servers of the protocol of 2026 and later report them only then."""
        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or tools is None or not tools.list_changed:
            return
        with suppress(MCPError):  # the server does not support what it announced; its tools stay as they are
            async with client.listen(tools_list_changed=True) as changes:
                async for change in changes:
                    if isinstance(change, ToolsListChanged):
                        self._recheck.set()

    async def _receive(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._recheck.set()

    def _declined(self, message: str) -> None:
        self.server.report_once(message, "mcp-elicitation")

    def _lose(self, reason: str) -> None:
        self._reason = reason  # before `_lost`: `_keep` reports it
        self._settled.clear()  # before the client is gone: calls wait for the next connection instead of failing
        self._client = None
        self._lost.set()


async def _all_tools(client: Client) -> list[Tool]:
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        found += page.tools
        if page.next_cursor in (None, cursor):  # some servers repeat the last page for ever
            break
        cursor = page.next_cursor
    return found


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancels the task until it is done: the SDK may spend a cancellation on saying goodbye to a server that hangs."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CLOSING_SECONDS)
