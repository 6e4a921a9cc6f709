"""Tools of an MCP server over streamable HTTP: one by the protocol's own SDK, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from tests.components.context import TURN, surroundings
from tests.components.tools.raw_http import TOOL, Seen, Sent, raw_server, result
from tests.components.tools.test_mcp import PATIENCE_SECONDS, RealClock
from victor_dsl.components.tools.mcp import Config, build
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import ToolSource
from victor_dsl.values.message import ToolCall

SERVER = str(Path(__file__).parent / "http_server.py")


@asynccontextmanager
async def serving(*options: str, port: int = 0) -> AsyncIterator[int]:
    """The server's port, while it runs."""
    command = [sys.executable, SERVER, str(port), *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield int(await process.stdout.readline())
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    around = surroundings(tmp_path, "tools/shop", environment={"TOKEN": "t0ken", "KEY": "k3y"})
    return evolve(around.context, clock=RealClock())


@asynccontextmanager
async def shop(context: Context, port: int, **options: Any) -> AsyncIterator[ToolSource]:
    async with build(Config(name="shop", url=f"http://127.0.0.1:{port}/mcp", **options), context) as tools:
        yield tools


async def call(tools: ToolSource, name: str, **arguments: Any) -> Any:
    return await tools.call(ToolCall("1", f"shop__{name}", json.dumps(arguments)), TURN)


@pytest.mark.parametrize("options", [("json",), ("sse",), ("json", "stateless")], ids=" ".join)
async def test_a_server_over_http_answers(context: Context, options: tuple[str, ...]) -> None:
    async with serving(*options) as port, shop(context, port) as tools:
        assert {tool.name for tool in await tools.tools()} == {"shop__lookup", "shop__huge", "shop__headers"}
        assert await call(tools, "lookup", order=7) == "order 7 is on its way"
        with pytest.raises(ToolError, match="order"):
            await call(tools, "lookup", order="seven")
        with pytest.raises(ToolError, match=r"16,777,216|SSE stream failed"):
            await call(tools, "huge")
        assert await call(tools, "lookup", order=8) == "order 8 is on its way"


async def test_headers_are_sent_and_secret_ones_are_not_shown(context: Context) -> None:
    secrets = {"bearer_token": Secret("env", "TOKEN"), "secret_headers": {"X-Key": Secret("env", "KEY")}}
    async with serving("json") as port, shop(context, port, headers={"X-Team": "support"}, **secrets) as tools:
        sent = json.loads(await call(tools, "headers"))
        assert sent["x-team"] == "support"
        assert sent["authorization"] == "Bearer ***"
        assert sent["x-key"] == "***"


async def test_a_restarted_server_is_found_again(context: Context) -> None:
    async with serving("json") as port:
        tools_context = shop(context, port)
        tools = await tools_context.__aenter__()
        await call(tools, "lookup", order=1)
    try:
        with pytest.raises(ToolError):
            await call(tools, "lookup", order=2)
        async with serving("json", port=port), asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    assert await call(tools, "lookup", order=3) == "order 3 is on its way"
                    break
                except ToolError:
                    await asyncio.sleep(0.05)
    finally:
        await tools_context.__aexit__(None, None, None)


async def test_an_unreachable_server_is_reported(context: Context) -> None:
    with pytest.raises(ComponentError, match="cannot be reached"):
        async with shop(context, 1):
            pass


@pytest.mark.parametrize(
    ("status", "path", "expected"),
    [
        (401, "/mcp", "HTTP 401 Unauthorized: the server wants credentials; set `bearer_token`, `auth`"),
        (403, "/mcp", "HTTP 403 Forbidden"),
        (404, "/mcp", "HTTP 404 Not Found: there is no MCP endpoint at this address"),
        (405, "/mcp", "HTTP 405 Method Not Allowed: the address takes no MCP messages; an old SSE endpoint"),
        (405, "/sse", "old HTTP+SSE transport, which is not supported"),
        (404, "/sse", "old HTTP+SSE transport, which is not supported"),
        (500, "/mcp", "HTTP 500 Internal Server Error"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"no", b'{"detail": "no"}'])
async def test_a_refusal_says_its_status_and_what_helps(
    context: Context, status: int, path: str, expected: str, body: bytes
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (line.split(b":")[1] for line in head.splitlines() if line.lower().startswith(b"content-length")), b"0"
        )
        await reader.readexactly(int(length))
        type = "application/json" if body.startswith(b"{") else "text/plain"
        writer.write(
            f"HTTP/1.1 {status} No\r\nContent-Type: {type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ComponentError) as raised:
            async with build(Config(name="shop", url=f"http://127.0.0.1:{port}{path}"), context):
                pass
    assert expected in raised.value.message


def answer(text: str = "fine", id: Any = 7) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})


JSON, EVENTS = {"Content-Type": "application/json"}, {"Content-Type": "text/event-stream"}
ODD: list[tuple[str, Sent, str]] = [
    ("half a surrogate pair", Sent(answer("cut \ud83d").encode()), "cut \ufffd"),
    ("half a surrogate pair in an event", Sent(("event: message\ndata: " + answer("cut \ud83d") + "\n\n").encode(), 200, EVENTS), "cut \ufffd"),
    ("a byte that is not UTF-8", Sent(answer("caf?").encode().replace(b"?", b"\xff")), "caf\ufffd"),
    ("that in an event", Sent(b"data: " + answer("caf?").encode().replace(b"?", b"\xff") + b"\n\n", 200, EVENTS), "caf\ufffd"),
    ("an event over several lines", Sent(b"".join(b"data: %s\r\n" % line for line in json.dumps(json.loads(answer()), indent=1).encode().split(b"\n")) + b"\r\n", 200, EVENTS), "fine"),
    ("comments and events of other names", Sent(f": hi\n\nevent: ping\ndata: {{}}\n\ndata:{answer()}\n\n".encode(), 200, EVENTS), "fine"),
    ("a byte order mark", Sent(b"\xef\xbb\xbf" + answer().encode()), "fine"),
    ("another id", Sent(answer(id=99).encode()), "fine"),
    ("the id null", Sent(answer(id=None).encode()), "fine"),
    ("no version", Sent(answer().replace('"jsonrpc": "2.0", ', "").encode()), "fine"),
    ("a batch of one", Sent(f"[{answer()}]".encode()), "fine"),
    ("JSON that is called text", Sent(answer().encode(), 200, {"Content-Type": "text/plain"}), "fine"),
    ("JSON without a type", Sent(answer().encode(), 200, {}), "fine"),
    ("a page for people", Sent(b"<h1>Log in</h1>", 200, {"Content-Type": "text/html"}), "Error: the MCP server refused: HTTP 200 with text/html: the answer is not an MCP message; check the path of `url`, which is often /mcp"),
    ("nothing", Sent(b""), "Error: the MCP server refused: HTTP 200 with application/json: the answer is not an MCP message; check the path of `url`, which is often /mcp"),
    ("cut JSON", Sent(answer().encode()[:-9]), "Error: the MCP server refused: HTTP 200 with application/json: the answer is not an MCP message; check the path of `url`, which is often /mcp"),
    ("202", Sent(b"", 202), "Error: the MCP server refused: server answered a request with 202 Accepted"),
    ("an error that is a text", Sent(b'{"jsonrpc":"2.0","id":7,"error":"no such order"}'), "Error: the MCP server refused: no such order"),
    ("an error at a status", Sent(b'{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"no such order"}}', 400), "Error: the MCP server refused: no such order"),
    ("an error of a gateway", Sent(b'{"error":"upstream"}', 502), "Error: the MCP server refused: HTTP 502 Bad Gateway"),
    ("too many requests", Sent(b"slow down", 429), "Error: the MCP server refused: HTTP 429 Too Many Requests"),
    ("an event that is cut", Sent(f"data: {answer()[:30]}".encode(), 200, EVENTS), "Error: the connection was lost before it answered the call"),
    ("a redirect", Sent(b"", 307, {"Location": "https://example.com/mcp"}), "Error: the MCP server refused: Redirect to https://example.com/mcp not followed; use that URL as the endpoint if it is the intended server"),
]  # fmt: skip
"""What a server answers to a call, and the text that the model receives."""


@pytest.mark.parametrize(("sent", "expected"), [row[1:] for row in ODD], ids=[row[0] for row in ODD])
async def test_an_odd_answer_over_http_is_read_or_is_an_error_at_once(
    context: Context, sent: Sent, expected: str
) -> None:
    def odd(seen: Seen) -> Sent | None:
        return sent if seen.body and seen.message.get("method") == "tools/call" else None

    async with raw_server(odd) as (port, _), shop(context, port) as tools, asyncio.timeout(PATIENCE_SECONDS):
        try:
            text = await call(tools, "look")
        except ToolError as error:
            text = f"Error: {error.message}"
    assert text == expected


@pytest.mark.parametrize("more", [{}, {"resultType": "complete"}])
async def test_a_stateless_server_of_2026_may_leave_out_the_type_of_its_results(
    context: Context, more: dict[str, str]
) -> None:
    results: dict[str, dict[str, Any]] = {
        "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "public"},
        "tools/list": {"tools": [TOOL], "ttlMs": 0, "cacheScope": "public"},
        "tools/call": {"content": [{"type": "text", "text": "fine"}]},
    }  # fmt: skip

    def modern(seen: Seen) -> Sent | None:
        found = results.get(seen.message["method"])
        return None if found is None else result(seen.message["id"], {**found, **more})

    async with raw_server(modern) as (port, received), shop(context, port) as tools:
        assert await call(tools, "look") == "fine"
    assert {seen.message["method"] for seen in received} == set(results)
    assert all("mcp-session-id" not in seen.headers for seen in received)
