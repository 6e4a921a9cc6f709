"""Tools of MCP servers: real ones, and one that does everything wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse

import victor_dsl
from tests.components.context import TURN, StillClock, Surroundings, surroundings
from tests.servers import filesystem_server
from victor_dsl.components.http_tools import Redaction
from victor_dsl.components.tools.mcp import Config, build, connection, launch, process
from victor_dsl.components.tools.mcp.messages import MOST_MESSAGE_BYTES, TooLong
from victor_dsl.components.tools.mcp.process import Lines
from victor_dsl.components.tools.mcp.repair import repair
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.graph.plan import Node
from victor_dsl.language import time_limit
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import Contributor, ToolSource
from victor_dsl.runtime.pipeline import ToolsByTurn
from victor_dsl.runtime.tool_calls import ToolCalls
from victor_dsl.source.located import Span
from victor_dsl.values.images import image_part, text_part
from victor_dsl.values.message import ToolCall
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool

WILD = [sys.executable, str(Path(__file__).parent / "wild_server.py")]
PATIENCE_SECONDS = 30


class RealClock:
    """The machine's time."""

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return surroundings(tmp_path, "tools/wild", environment={"TOKEN": "s3cret-token", "KEY": "k3y"})


@pytest.fixture
def context(around: Surroundings) -> Context:
    return evolve(around.context, clock=RealClock())


@asynccontextmanager
async def wild(context: Context, **options: Any) -> AsyncIterator[ToolSource]:
    async with build(Config(name="wild", command=WILD, **options), context) as tools:
        yield tools


async def call(tools: ToolSource, name: str, tenant: str | None = None, /, **arguments: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await tools.call(ToolCall("c1", f"wild__{name}", json.dumps(arguments)), TURN.replace(tenant=tenant))


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what another process brings about."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended, but whose exit code nobody has read, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_real_server_tells_the_time(context: Context) -> None:
    command = [str(Path(sys.executable).parent / "mcp-server-time")]
    async with build(Config(name="clock", command=command, cost="free", domain="time"), context) as tools:
        listed = {tool.name: tool for tool in await tools.tools()}
        assert set(listed) == {"clock__get_current_time", "clock__convert_time"}
        now = listed["clock__get_current_time"]
        assert (now.cost, now.domain, now.source) == ("free", "time", "tools/wild")
        assert "timezone" in now.parameters["properties"]
        result: Any = await tools.call(ToolCall("1", now.name, '{"timezone": "Etc/UTC"}'), TURN)
        assert json.loads(result)["timezone"] == "Etc/UTC"
        with pytest.raises(ToolError, match="Nowhere"):
            await tools.call(ToolCall("2", now.name, '{"timezone": "Nowhere"}'), TURN)


async def test_a_real_server_from_npm_reads_only_files_of_its_folder(context: Context, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("hello")
    config = Config(name="files", command=[*filesystem_server(), "./data"], allow=["read_*", "write_*"], deny=["w*"])
    async with build(config, context) as tools:
        names = {tool.name for tool in await tools.tools()}
        assert "files__read_text_file" in names
        assert all(name.startswith("files__read_") for name in names)
        read = ToolCall("1", "files__read_text_file", json.dumps({"path": str(tmp_path / "data" / "a.txt")}))
        assert await tools.call(read, TURN) == "hello"
        with pytest.raises(ToolError, match="outside allowed directories"):
            await tools.call(ToolCall("2", "files__read_text_file", '{"path": "/etc/hostname"}'), TURN)


async def test_a_server_that_dies_during_a_call_is_back_for_the_next(context: Context, around: Surroundings) -> None:
    async with wild(context) as tools:
        await tools.tools()
        with pytest.raises(ToolError, match="ended with exit code 3 before it answered the call"):
            await call(tools, "die")
        assert await call(tools, "echo", a=1) == '{"a": 1}'
        assert around.reports == [("the MCP server ended with exit code 3", {"code": "mcp-server"})]


async def test_the_death_of_a_server_is_an_error_for_all_its_calls_and_nothing_hangs(context: Context) -> None:
    async with wild(context) as tools:
        hanging = [asyncio.create_task(call(tools, "hang")) for _ in range(3)]
        await call(tools, "echo")
        results = await asyncio.gather(call(tools, "die"), *hanging, return_exceptions=True)
        assert [type(result) for result in results] == [ToolError] * 4


async def test_the_last_words_of_a_server_are_in_the_error(context: Context) -> None:
    async with wild(context) as tools:
        with pytest.raises(ToolError, match="exit code 4; its last words: fatal: the disk is full"):
            await call(tools, "last_words")


class HeldClock(RealClock):
    """A clock whose sleepers wait until the test lets them go on."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.asleep = asyncio.Event()
        self.go = asyncio.Event()
        self.awake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.asleep.set()
        await self.go.wait()
        self.go.clear()
        self.asleep.clear()
        self.awake.set()

    async def pass_one(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.asleep.wait()
            self.go.set()
            await self.awake.wait()
            self.awake.clear()


async def test_a_server_that_keeps_dying_is_started_with_growing_pauses(around: Surroundings) -> None:
    clock = HeldClock()
    async with wild(evolve(around.context, clock=clock)) as tools:
        for death in range(5):
            with pytest.raises(ToolError, match="before it answered"):
                await call(tools, "die")
            if death:  # after the first it is back at once
                await clock.pass_one()
        assert clock.pauses == sorted(clock.pauses)
        assert len(clock.pauses) == 4
        assert clock.pauses[0] >= 2 * connection.FIRST_PAUSE_SECONDS / 2
        await call(tools, "echo")
        with pytest.raises(ToolError):
            await call(tools, "die")
        await call(tools, "echo")
        assert len(clock.pauses) == 4, "a call that was answered ends the pauses"


async def test_while_a_server_is_down_calls_fail_at_once_and_say_when_it_is_tried_again(
    around: Surroundings, tmp_path: Path
) -> None:
    clock = HeldClock()
    script = tmp_path / "server.py"
    script.write_text(Path(WILD[1]).read_text())
    context = evolve(around.context, clock=clock)
    async with build(Config(name="wild", command=[sys.executable, str(script)]), context) as tools:
        listed = await tools.tools()
        script.write_text("raise SystemExit(9)")
        with pytest.raises(ToolError):
            await call(tools, "die")
        await asyncio.wait_for(clock.asleep.wait(), PATIENCE_SECONDS)
        with pytest.raises(ToolError, match=r"ended with exit code 9.*; it is tried again in \d+ s"):
            await call(tools, "echo")
        assert await tools.tools() is listed
        script.write_text(Path(WILD[1]).read_text())
        await clock.pass_one()
        assert await call(tools, "echo") == "{}"


async def test_an_abandoned_call_does_not_block_others(context: Context) -> None:
    async with wild(context) as tools:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await call(tools, "hang")
        assert await call(tools, "count") == "1"


async def test_a_server_that_hangs_is_ended_and_started_again(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.1)
    async with wild(context, startup_seconds=3) as tools:
        frozen = int(await call(tools, "pid"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await call(tools, "freeze")
        with pytest.raises(ToolError):
            await call(tools, "pid")
        assert int(await call(tools, "pid")) != frozen
        assert not alive(frozen)


async def test_lines_that_are_not_messages_are_ignored(
    context: Context, around: Surroundings, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "victor_dsl.mcp")
    async with wild(context) as tools:
        assert await call(tools, "junk") == "after the junk"
        assert await call(tools, "endless_junk") == "after the junk"
    assert [message.partition("prints")[0] for message, _ in around.reports] == ["the MCP server "] * 4
    assert "tools/wild printed: Server ready!" in caplog.messages
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["huge", "huge_unnamed"])
async def test_an_answer_of_50_mb_is_an_error_of_only_its_call(context: Context, name: str) -> None:
    async with wild(context) as tools:
        waiting = asyncio.create_task(call(tools, name))
        other = asyncio.create_task(call(tools, "echo"))
        with pytest.raises(ToolError, match=r"longer than 16,777,216 bytes"):
            await waiting
        assert await other == "{}"
        assert await call(tools, "count") == "1", "it is the same process"


PNG = image_part(b"\x89PNG\r\n\x1a\n" + bytes(9))
PHOTO = {"type": "image", "mimeType": "image/jpeg", "data": "iVBORw0K\nGgoAAAAAAAAAAAA"}
FOUND = [
    {"type": "text", "text": "A cat:"},
    PHOTO,
    {"type": "resource", "resource": {"uri": "file:///cat", "blob": PHOTO["data"]}},
    {"type": "resource", "resource": {"uri": "file:///a.csv", "mimeType": "text/csv", "blob": "bmFtZSxhZ2U="}},
    {"type": "image", "mimeType": "image/png", "data": "?"},
    {"type": "image", "mimeType": "image/svg+xml", "data": "PHN2Zy8+"},
]


async def test_content_other_than_text_is_described(context: Context) -> None:
    async with wild(context) as tools:
        assert (await call(tools, "picture")).splitlines() == [
            "A cat:",
            "[image: image/png, 3,000 bytes; it cannot be shown as text]",
            "[audio: audio/wav, 3 bytes; it cannot be shown as text]",
            "[a link to cat: file:///cat.txt]",
            "inside",
            "[resource file:///b: unknown type, 3 bytes; it cannot be shown as text]",
        ]
        assert await call(tools, "answer", result={"content": FOUND}) == (
            text_part("A cat:"),
            PNG,
            PNG,
            text_part("name,age"),
            text_part("[image: image/png; its base64 cannot be read]"),
            text_part("<svg/>"),
        )
        with pytest.raises(ToolError, match=r"^no cat$"):
            await call(
                tools, "answer", result={"content": [PHOTO, {"type": "text", "text": "no cat"}], "isError": True}
            )
        assert await call(tools, "structured") == '{"a": 1}'


async def test_a_failed_tool_and_a_malformed_answer_are_errors_for_the_model(context: Context) -> None:
    async with wild(context) as tools:
        with pytest.raises(ToolError, match=r"^no such order$"):
            await call(tools, "fail")
        with pytest.raises(ToolError, match="result cannot be read"):
            await call(tools, "no_result")


async def test_a_changed_list_of_tools_is_used(context: Context) -> None:
    async with wild(context) as tools:
        before = await tools.tools()
        assert await tools.tools() is before
        await call(tools, "grow", name="new")

        async def changed() -> bool:
            return await tools.tools() is not before

        await eventually(changed)
        assert [tool.name for tool in await tools.tools()] == [*(tool.name for tool in before), "wild__new"]


async def test_a_list_over_its_tokens_is_refused_at_the_start_and_ignored_later(
    context: Context, around: Surroundings
) -> None:
    with pytest.raises(ComponentError, match=r"22 tools take \d+ tokens, and max_tokens is 10"):
        async with wild(context, max_tokens=10):
            pass
    async with wild(context, max_tokens=30, allow=["e*", "grow*"], deny=["en*"]) as tools:
        before = await tools.tools()
        await call(tools, "grow", name="grown" + "x" * 500)

        async def reported() -> bool:
            return bool(around.reports)

        await eventually(reported)
        assert "the new list of tools is not used" in around.reports[0][0]
        assert await tools.tools() is before


async def test_a_server_sees_little_of_the_environment_and_its_secrets_are_never_shown(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-host")
    secrets = {"TOKEN": Secret("env", "TOKEN")}
    async with wild(context, env={"MODE": "test"}, secret_env=secrets) as tools:
        seen = json.loads(await call(tools, "environment"))
        assert seen["MODE"] == "test"
        assert {"PATH", "HOME"} <= seen.keys()
        assert "OPENAI_API_KEY" not in seen
        assert await call(tools, "leak") == "the token is ***"


async def test_a_tool_whose_name_has_a_secret_is_left_out(context: Context, around: Surroundings) -> None:
    token = context.secret(Secret("env", "TOKEN"))
    async with wild(context, secret_env={"TOKEN": Secret("env", "TOKEN")}) as tools:
        await call(tools, "grow", name=f"ask_{token}")
        await call(tools, "grow", name="new", description=f"Needs {token}.")

        async def changed() -> bool:
            return (await tools.tools())[-1].name == "wild__new"

        await eventually(changed)
        offered = await tools.tools()
    assert not any(token in tool.name or token in tool.description for tool in offered)
    assert offered[-1].description == "Needs ***."
    message = "the tool 'ask_***' of the MCP server is left out: its name contains a secret"
    assert around.reports == [(message, {"code": "mcp-tools"})]


async def test_each_tenant_has_its_own_process(context: Context) -> None:
    async with wild(context) as tools:
        assert [await call(tools, "count", tenant) for tenant in ("a", "a", "b", None, "a")] == [
            "1",
            "2",
            "1",
            "1",
            "3",
        ]


async def test_tenants_share_a_stateless_server(context: Context) -> None:
    async with wild(context, stateless=True) as tools:
        assert [await call(tools, "count", tenant) for tenant in ("a", "b", None)] == ["1", "2", "3"]


async def test_no_more_tenants_than_allowed_have_a_process_at_the_same_time(context: Context) -> None:
    async with wild(context, max_tenants=2) as tools:
        first = int(await call(tools, "pid", "a"))
        assert await call(tools, "count", "b") == "1"
        assert await call(tools, "count", "c") == "1"
        assert not alive(first), "the one that called longest ago is ended"
        assert await call(tools, "count", "b") == "2"
        hanging = [asyncio.create_task(call(tools, "hang", tenant)) for tenant in ("b", "c")]
        await asyncio.sleep(0)
        with pytest.raises(ToolError, match="too many tenants"):
            await call(tools, "count", "a")
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)


async def test_no_process_is_left_behind_whatever_the_server_does(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.1)
    async with wild(context) as tools:
        child, server = int(await call(tools, "spawn")), int(await call(tools, "pid"))
        assert await call(tools, "stubborn") == "no"
        assert alive(child)
        assert alive(server)
    assert not alive(server)

    async def gone() -> bool:
        return not alive(child)

    await eventually(gone)  # it is killed, and may be at its last step


async def test_processes_of_many_tenants_end_together(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    together = asyncio.Barrier(4)
    close = connection.Connection.close

    async def meet(connection: connection.Connection) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await together.wait()  # one after the other they would never meet
        await close(connection)

    monkeypatch.setattr(connection.Connection, "close", meet)
    async with wild(context) as tools:
        pids = [int(await call(tools, "pid", tenant)) for tenant in ("a", "b", "c")]
    assert not any(map(alive, pids))


async def test_closing_answers_calls_in_progress(context: Context) -> None:
    async with wild(context) as tools:
        hanging = asyncio.create_task(call(tools, "hang"))
        await call(tools, "echo")
    with pytest.raises(ToolError):
        await hanging


async def test_a_missing_package_is_named_with_the_command_that_installs_it(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)  # what Python itself finds where it is not installed: nothing
    with pytest.raises(ComponentError, match=r"needs the package mcp .*pip install 'victor_dsl\[mcp\]'"):
        async with build(Config(name="x", command=["no-such-command"]), context):
            pass


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            ["no-such-command"],
            "cannot be started: 'no-such-command': No such file or directory; install the program, or write its whole path",
        ),
        ([sys.executable, "-c", "import sys; sys.exit('no licence')"], "exit code 1; its last words: no licence"),
        ([sys.executable, "-c", "print('hello'); input()"], "ended with exit code 0"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "did not answer within 0.5 s"),
    ],
)
async def test_a_server_that_does_not_start_is_reported_with_the_reason(
    context: Context, command: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.1)
    seconds = 0.5 if "within" in expected else PATIENCE_SECONDS
    with pytest.raises(ComponentError) as raised:
        async with build(Config(name="x", command=command, startup_seconds=seconds), context):
            pass
    assert expected in raised.value.message


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(3), BaseExceptionGroup("", [SystemExit(3)])])
async def test_whatever_breaks_a_connection_the_next_call_may_have_another(
    around: Surroundings, error: BaseException
) -> None:
    @asynccontextmanager
    async def transport(errors: list[BaseException]) -> AsyncIterator[Any]:
        for each in errors:
            raise each
        yield

    server = connection.Server(
        lambda on_lost: transport([error]), Redaction(()), 1.0, evolve(around.context, clock=HeldClock())
    )
    broken = connection.Connection(server, lambda tools: None)
    broken.start()
    with pytest.raises(ComponentError, match=r"the MCP server failed: (CancelledError|SystemExit)"):
        await broken.first()
    with pytest.raises(ToolError, match="it is tried again in 1 s"):
        await broken.call("echo", {})
    await broken.close()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, "either a `command` or a `url`"),
        ({"command": ["a"], "url": "http://x/mcp"}, "either a `command` or a `url`"),
        ({"command": ["a"], "headers": {"X-A": "b"}}, "`headers` is only for a server with a `url`"),
        ({"url": "http://x/mcp", "env": {"A": "b"}}, "`env` is only for a server with a `command`"),
        ({"url": "ftp://x"}, "must start with http"),
        ({"url": "http://user:pw@x/"}, "cannot contain a user and password"),
        ({"url": "http://x/", "headers": {"Authorization": "b"}}, "carries a key"),
    ],
)
def test_a_config_without_a_server_is_refused(written: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Config(**written)


def test_a_line_over_the_limit_is_identified_by_its_ends() -> None:
    lines = Lines(most_bytes=100)
    fed = [b'{"jsonrpc":"2.0","id":7,"result":"', b"x" * 90, b"y" * 300, b'"}\nshort\n', b'{"result":"', b"z" * 200]
    found = [line for chunk in fed for line in lines.feed(chunk)]
    found += lines.feed(b'","id": 8, "jsonrpc": "2.0"}\n')
    assert [line.answers if isinstance(line, TooLong) else line for line in found] == [7, b"short", 8]
    assert TooLong(b'{"note": {"id": 3}', b'"id": 4}]}').answers is None
    assert MOST_MESSAGE_BYTES < 50_000_000


def answer(text: str = "fine", id: int = 4) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}})


READ = [
    ("half a surrogate pair", answer("cut \ud83d").encode(), "cut \ufffd"),
    ("the other half", answer("\ude00 cut").encode(), "\ufffd cut"),
    ("a whole pair", answer("\ud83d\ude00").encode(), "\U0001f600"),
    ("a byte that is not UTF-8", answer("caf?").encode().replace(b"?", b"\xff"), "caf\ufffd"),
    ("pretty-printed", json.dumps(json.loads(answer()), indent=2).encode(), "fine"),
    ("pretty-printed by tabs, with CRLF", json.dumps(json.loads(answer()), indent="\t").replace("\n", "\r\n").encode(), "fine"),
    ("a brace alone before it", b"{\n" + answer().encode(), "fine"),
    ("a byte order mark before it", b"\xef\xbb\xbf" + answer().encode(), "fine"),
    ("a batch of one", f"[{answer()}]".encode(), "fine"),
    ("no version", answer().replace('"jsonrpc": "2.0", ', "").encode(), "fine"),
    ("another version", answer().replace('"2.0"', "2.0").encode(), "fine"),
    ("an id with a fraction", answer().replace('"id": 4', '"id": 4.0').encode(), "fine"),
    ("a result and no error", answer().replace('"id"', '"error": null, "id"').encode(), "fine"),
    ("an error that is a text", b'{"jsonrpc":"2.0","id":4,"error":"no such order"}', "error: no such order"),
    ("an error without a code", b'{"id":4,"error":{"message":"no such order"}}', "error: no such order"),
    ("an error without a message", b'{"id":4,"error":{"reason":"busy"}}', 'error: {"reason": "busy"}'),
    ("a code that is a text", b'{"jsonrpc":"2.0","id":4,"error":{"code":"E1","message":"busy"}}', "error: busy"),
    ("no JSON, but an id", b'{"jsonrpc":"2.0","id":4,"result":{"content":[}}', "error: the answer is not JSON"),
    ("no message, but an id", b'{"jsonrpc":"2.0","id":4,"result":"what?"}', "error: the answer is not a JSON-RPC message"),
]  # fmt: skip
"""What a server prints in answer to request 4, and the text or error that is read of it."""


@pytest.mark.parametrize(("printed", "expected"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_an_answer_is_read_or_is_an_error_at_once(printed: bytes, expected: str) -> None:
    lines, messages = Lines(), process.Messages()
    found = [found for line in lines.feed(printed + b"\n") for found in messages.feed(line)]
    [message] = [each.message for each in found if isinstance(each, SessionMessage)]
    if isinstance(message, JSONRPCError):
        assert f"error: {message.error.message}" == expected
    else:
        assert isinstance(message, JSONRPCResponse)
        assert message.result["content"][0]["text"] == expected
    assert message.id == 4


RESULTS = [
    ({"content": [{"type": "text", "text": "good"}, {"type": "hologram"}]}, "good\n[a part of type 'hologram', which cannot be read]"),
    ({"content": [{"type": "text"}]}, "[a part of type 'text', which cannot be read]"),
    ({"structuredContent": {"a": 1}}, '{"a": 1}'),
    ({"content": None, "structuredContent": {"a": 1}}, '{"a": 1}'),
    ({"content": None}, ""),
    ({"content": "plain"}, "plain"),
    ({"content": {"type": "text", "text": "alone"}}, "alone"),
    ({"content": ["a", {"type": "text", "text": "b"}]}, "a\nb"),
    ({"content": 7}, "[a part of type None, which cannot be read]"),
    ({"content": [], "isError": None}, ""),
    ({"content": ["fine"], "isError": "false"}, "fine"),
    ({"structuredContent": [1, 2]}, '{"result": [1, 2]}'),
]  # fmt: skip
"""What breaks the protocol in a result, and the text that is read of it."""


@pytest.mark.parametrize(("result", "expected"), RESULTS)
async def test_the_readable_parts_of_a_result_reach_the_model(
    context: Context, result: dict[str, Any], expected: str
) -> None:
    async with wild(context) as tools:
        assert await call(tools, "answer", result=result) == expected


@pytest.mark.parametrize(
    ("steps", "expected"), [(5, "nothing"), (100, "Error: the tool 'wild__slow' exceeded its time")]
)
async def test_progress_begins_the_time_limit_anew_but_not_for_ever(
    context: Context, monkeypatch: pytest.MonkeyPatch, steps: int, expected: str
) -> None:
    monkeypatch.setattr(time_limit, "MOST_TIMES", 4)
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.1)
    config = Config(name="wild", command=WILD, timeout_seconds=0.7)
    async with build(config, context) as tools:
        slow = Tool("wild__slow", source="tools/wild")
        node = Node("tools/wild", "mcp", config, (), Span("victor.yml", 1, 1, 1, 1), "")
        calls = ToolCalls([(node, tools)], (), StillClock())
        made = ToolCall("1", "wild__slow", json.dumps({"steps": steps}))
        [message] = await calls.answer([made], TURN.replace(tools=(slow,)), {})
        assert message.text().startswith(expected)


async def test_a_result_that_cannot_be_read_is_explained_in_one_line(context: Context) -> None:
    async with wild(context) as tools:
        with pytest.raises(ToolError, match=r"it broke the protocol: _meta: [^\n]*dictionary$"):
            await call(tools, "no_result")


FINE = {"name": "fine", "inputSchema": {"type": "object"}}
BAD_TOOLS = [
    ({"name": "bad"}, "the tool 'bad' of the MCP server is left out: inputSchema: Field required"),
    ({"name": "bad", "inputSchema": {"type": "string"}}, "the tool 'bad' of the MCP server is left out: inputSchema.type"),
    ({"name": "bad", "inputSchema": {"type": "object", "properties": {"a": {}, "required": ["a"]}}}, "left out: inputSchema.properties.required"),
    ({"inputSchema": {"type": "object"}}, "a tool without a name of the MCP server is left out: name"),
    ("bad", "a tool without a name of the MCP server is left out"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "expected"), BAD_TOOLS)
def test_a_bad_tool_is_left_out_by_name(bad: Any, expected: str) -> None:
    reports: list[str] = []
    assert repair({"tools": [bad, FINE]}, reports.append) == {"tools": [FINE], "resultType": "complete"}
    [report] = reports
    assert expected in report


async def test_a_bad_tool_that_comes_later_breaks_no_call(context: Context, around: Surroundings) -> None:
    async with wild(context) as tools:
        hanging = asyncio.create_task(call(tools, "hang"))
        await call(tools, "grow", name="bad")

        async def reported() -> bool:
            return any("the tool 'bad' of the MCP server is left out" in message for message, _ in around.reports)

        await eventually(reported)
        assert await call(tools, "count") == "1"
        assert not hanging.done()
        hanging.cancel()


FORM = {"type": "object", "properties": {"sure": {"type": "boolean", "default": True}, "why": {"type": "string"}}}
ASKED = [
    ("decline", FORM, {"action": "decline"}),
    ("defaults", FORM, {"action": "accept", "content": {"sure": True}}),
    ("defaults", {**FORM, "required": ["sure"]}, {"action": "accept", "content": {"sure": True}}),
    ("defaults", {**FORM, "required": ["why"]}, {"action": "decline"}),
    ("defaults", None, {"action": "decline"}),
]


@pytest.mark.parametrize(("mode", "schema", "answered"), ASKED)
async def test_a_server_that_asks_the_user_is_answered(
    context: Context, around: Surroundings, mode: Any, schema: Any, answered: Any
) -> None:
    async with wild(context, elicitation=mode) as tools:
        assert [json.loads(await call(tools, "elicit", schema=schema)) for _ in range(2)] == [answered] * 2
    declined = [message for message, _ in around.reports]
    assert declined == ["the MCP server asks users for input in its calls, which is declined: no user can be asked"] * (
        answered["action"] == "decline"
    )


async def test_a_tool_that_runs_only_as_a_task_is_left_out_and_reported_once(
    context: Context, around: Surroundings
) -> None:
    async with wild(context) as tools:
        for name in ("task", "new"):
            await call(tools, "grow", name=name)

        async def changed() -> bool:
            return (await tools.tools())[-1].name == "wild__new"

        await eventually(changed)
        assert "wild__task" not in {tool.name for tool in await tools.tools()}
        assert around.reports == [
            ("the tool 'task' of the MCP server is left out: it runs only as a task", {"code": "mcp-tools"})
        ]


async def test_a_tool_that_one_tenant_s_server_adds_is_offered_to_that_tenant_alone(context: Context) -> None:
    async with wild(context) as tools:
        assert isinstance(tools, ToolsByTurn)
        of = {tenant: TURN.replace(tenant=tenant) for tenant in ("acme", "other", None)}
        shared = await tools.tools()
        await call(tools, "grow", "acme", name="new")

        async def changed() -> bool:
            return await tools.tools_for(of["acme"]) != shared

        await eventually(changed)
        assert [tool.name for tool in await tools.tools_for(of["acme"])] == [*(t.name for t in shared), "wild__new"]
        assert await tools.tools_for(of["acme"]) is await tools.tools_for(of["acme"])
        assert await tools.tools_for(of["other"]) is await tools.tools_for(of[None]) is shared


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("Use echo first.", "About the tools wild__*, by their server:\n\nUse echo first."),
        (
            "The token is s3cret-token \U0001f600",
            "About the tools wild__*, by their server:\n\nThe token is *** \U0001f600",
        ),
        ("  ", ""),
    ],
)
async def test_a_server_s_instructions_are_a_piece_of_the_prompt_on_request(
    context: Context, text: str, piece: str
) -> None:
    settings = {"env": {"INSTRUCTIONS": text}, "secret_env": {"TOKEN": Secret("env", "TOKEN")}}
    async with wild(context, **settings) as tools:
        assert not isinstance(tools, Contributor)
    async with wild(context, instructions=True, **settings) as tools:
        assert isinstance(tools, Contributor)
        assert await tools.contribute(TURN) == piece


async def test_instructions_are_rendered_last_and_cut(tmp_path: Path) -> None:
    spec = {
        "victor": 1,
        "name": "wild",
        "models": {"main": {"type": "echo"}},
        "contributors": [{"type": "text", "text": "Be brief."}],
        "tools": [
            {"type": "mcp", "name": "wild", "command": WILD, "instructions": True, "env": {"INSTRUCTIONS": "x" * 9000}}
        ],
    }
    (tmp_path / "victor.yml").write_text(json.dumps(spec))
    async with victor_dsl.open(str(tmp_path / "victor.yml")) as orchestrator:
        rendered = await orchestrator.render(Request(message="hi"))
    assert rendered.system.startswith("Be brief.\n\nAbout the tools wild__*, by their server:\n\nxxx")
    assert [(piece.type, piece.name, piece.tokens) for piece in rendered.contributors][-1] == (
        "mcp",
        "wild",
        1000,
    )


def test_npm_is_installed_in_ci() -> None:
    if os.environ.get("CI"):
        assert shutil.which("npm"), "CI runs the tests against a server from npm"
