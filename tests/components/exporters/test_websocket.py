"""The dashboard's server: who may look, what they see, and that nobody holds up another."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from attrs import evolve
from pydantic import ValidationError

from tests.components.context import StillClock, surroundings
from tests.runtime.stage import HandClock
from victor_dsl.components.exporters import websocket
from victor_dsl.components.exporters.websocket import hub as hubs
from victor_dsl.components.exporters.websocket import server
from victor_dsl.components.exporters.websocket.access import DELAYED, WRONG_SECONDS
from victor_dsl.components.exporters.websocket.history import NAMES, OTHER, SECONDS, TAIL, History, Series
from victor_dsl.components.exporters.websocket.hub import EVERYONE, Hub, Scope
from victor_dsl.components.exporters.websocket.server import Dashboard
from victor_dsl.errors import ComponentError, SecretError
from victor_dsl.language.config import Secret
from victor_dsl.values.event import Event, uuid7

NOW = 1_700_000_000.0
TOKEN = "the-token-of-the-dashboard"
ACME = "the-token-of-acme-alone"
GLOBEX = "the-token-of-globex-alone"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

PATIENCE_S = 30.0


def event(type: Any = "turn", time: float = NOW, tenant: str | None = None, **data: Any) -> Event:
    return Event(uuid7(time), type, time, "s1", tenant, "support", "abc", {"tone": "warm"}, data)


def turn(number: int, **more: Any) -> Event:
    tokens = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.5}
    return event(**{"latency_ms": 100.0 + number, "model": "main", "stop_reason": "stop", **tokens, **more})


class Opened:
    """A dashboard that listens, and a program that talks to it."""

    def __init__(self, dashboard: Dashboard, session: aiohttp.ClientSession, clock: StillClock) -> None:
        self.dashboard = dashboard
        self.session = session
        self.clock = clock
        self.url = dashboard.url
        self.origin = dashboard.url.rstrip("/")

    def socket(self, **options: Any) -> Any:
        return self.session.ws_connect(f"{self.url}ws", max_msg_size=0, **options)

    async def sign_in(self, token: str = TOKEN, origin: str | None = "own") -> aiohttp.ClientResponse:
        headers = {} if origin is None else {"Origin": self.origin if origin == "own" else origin}
        return await self.session.post(f"{self.url}session", json={"token": token}, headers=headers)


@asynccontextmanager
async def opened(folder: Path, clock: HandClock | None = None, **config: Any) -> AsyncIterator[Opened]:
    secrets = {"TOKEN": TOKEN, "ACME": ACME, "GLOBEX": GLOBEX}
    around = surroundings(folder, "exporters/websocket", environment=secrets)
    made = websocket.Config(port=0, token=Secret("env", "TOKEN"), **config)
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address
    context = around.context if clock is None else evolve(around.context, clock=clock)
    async with websocket.build(made, context) as exporter, aiohttp.ClientSession(cookie_jar=jar) as session:
        assert isinstance(exporter, Dashboard)
        yield Opened(exporter, session, around.clock)


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Opened]:
    tokens = {"acme": Secret("env", "ACME"), "globex": Secret("env", "GLOBEX")}
    async with opened(tmp_path, tenant_tokens=tokens) as made:
        yield made


async def heard(socket: aiohttp.ClientWebSocketResponse, type: str = "") -> dict[str, Any]:
    """The next message, or the next of a type."""
    while True:
        message: dict[str, Any] = await socket.receive_json()
        if not type or message["type"] == type:
            return message


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    while (await socket.receive()).type not in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}:
        pass
    return socket.close_code


async def refused(board: Opened, **options: Any) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await board.socket(**options)
    return caught.value.status


async def admitted(board: Opened, **options: Any) -> aiohttp.ClientWebSocketResponse:
    """A socket, as soon as there is room for it: the server hears a moment later that another one left."""
    while True:
        try:
            socket: aiohttp.ClientWebSocketResponse = await board.socket(**options)
        except aiohttp.WSServerHandshakeError as error:
            if error.status != 503:
                raise
        else:
            return socket


# Who may look


async def test_recipe_7_a_token_in_the_header_opens_the_stream(board: Opened) -> None:
    async with board.socket(headers=BEARER) as socket:
        assert (await heard(socket))["type"] == "snapshot"
        await board.dashboard.export([turn(1)])
        update = await heard(socket)
    assert update["type"] == "update"
    assert [row["session"] for row in update["turns"]] == ["s1"]
    assert [bucket["turns"] for bucket in update["seconds"]] == [1]


async def test_recipe_7_a_token_in_the_first_message_opens_the_stream(board: Opened) -> None:
    async with board.socket() as socket:
        assert "Server" not in socket._response.headers
        await socket.send_json({"token": TOKEN})
        assert (await heard(socket))["tenant"] is None


async def test_recipe_7_a_session_of_a_browser_opens_the_stream_until_it_signs_out(board: Opened) -> None:
    answer = await board.sign_in()
    cookie = answer.headers["Set-Cookie"]
    assert answer.status == 200
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    async with board.socket(headers={"Origin": board.origin}) as socket:
        assert (await heard(socket))["type"] == "snapshot"
    await board.session.delete(f"{board.url}session", headers={"Origin": board.origin})
    async with board.socket(headers={"Origin": board.origin}) as socket:
        await socket.send_json({"nothing": 1})
        assert await closed_with(socket) == server.UNAUTHORIZED


@pytest.mark.parametrize("first", ['{"token": "wrong"}', '{"token": null}', "[]", "{", "1", '{"token": {"a": 1}}'])
async def test_recipe_7_a_wrong_token_is_refused(board: Opened, first: str) -> None:
    async with board.socket() as socket:
        await socket.send_str(first)
        assert await closed_with(socket) == server.UNAUTHORIZED
    assert await refused(board, headers={"Authorization": "Bearer wrong"}) == 401
    assert await refused(board, headers={"Authorization": f"Basic {TOKEN}"}) == 401
    assert (await board.sign_in("wrong")).status == 401
    assert len(board.dashboard.hub) == 0


async def test_a_client_without_a_token_is_disconnected_after_a_while(
    board: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TOKEN_SECONDS", 0.01)
    async with board.socket() as socket:
        assert await closed_with(socket) == server.UNAUTHORIZED


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost.evil.example"]
)
async def test_recipe_7_a_foreign_origin_is_refused_with_any_token(board: Opened, origin: str) -> None:
    assert await refused(board, headers={"Origin": origin, **BEARER}) == 403
    assert (await board.sign_in(TOKEN, origin)).status == 403
    await board.sign_in()
    assert await refused(board, headers={"Origin": origin}) == 403


async def test_a_browser_without_an_origin_cannot_sign_in_and_its_session_counts_for_nothing(board: Opened) -> None:
    assert (await board.sign_in(origin=None)).status == 403
    await board.sign_in()
    async with board.socket() as socket:
        await socket.send_json({})
        assert await closed_with(socket) == server.UNAUTHORIZED


async def test_an_origin_in_the_spec_is_allowed(tmp_path: Path) -> None:
    async with opened(tmp_path, origins=["https://dash.example.com"]) as board:
        answer = await board.sign_in(origin="https://dash.example.com")
        assert answer.status == 200
        assert "Secure" in answer.headers["Set-Cookie"]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


async def test_right_tokens_are_served_while_wrong_ones_are_delayed(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock) as board:
        wrong = {"Authorization": "Bearer wrong"}
        ways = (partial(board.sign_in, "wrong"), partial(refused, board, headers=wrong), partial(refused_later, board))
        delayed = [asyncio.ensure_future(ways[number % 3]()) for number in range(DELAYED)]
        await until(lambda: len(clock.sleepers) == DELAYED)

        assert (await board.sign_in("wrong")).status == 429
        assert await refused(board, headers=wrong) == 429
        assert await refused_later(board) == server.TOO_MANY

        assert (await board.sign_in(TOKEN)).status == 200
        async with board.socket(headers=BEARER) as one, board.socket() as two:
            await two.send_json({"token": TOKEN})
            for socket in (one, two):
                assert (await heard(socket))["type"] == "snapshot"
        assert not any(task.done() for task in delayed)

        clock.move(WRONG_SECONDS)
        answers = [
            answer.status if isinstance(answer := await task, aiohttp.ClientResponse) else answer for task in delayed
        ]
        assert set(answers) == {401, server.UNAUTHORIZED}
        again = asyncio.ensure_future(board.sign_in("wrong"))
        await until(lambda: len(clock.sleepers) == DELAYED + 1)
        clock.move(WRONG_SECONDS)
        assert (await again).status == 401


async def refused_later(board: Opened) -> int | None:
    async with board.socket() as socket:
        await socket.send_json({"token": "wrong"})
        return await closed_with(socket)


async def test_sockets_without_a_token_cannot_keep_clients_out(tmp_path: Path) -> None:
    async with opened(tmp_path, max_clients=2) as board:
        silent = [await board.socket() for _ in range(3 * server.WAITING_SOCKETS)]
        for socket in silent[: -server.WAITING_SOCKETS]:
            assert await closed_with(socket) == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
        one = await board.socket(headers=BEARER)
        two = await board.socket()
        await two.send_json({"token": TOKEN})
        for socket in (one, two):
            assert (await heard(socket))["type"] == "snapshot"
        assert await refused(board, headers=BEARER) == 503
        async with board.socket() as three:
            await three.send_json({"token": TOKEN})
            assert await closed_with(three) == aiohttp.WSCloseCode.TRY_AGAIN_LATER
        for socket in (one, two, *silent):
            await socket.close()


LONG = b"x" * 20_000
POST = b"POST /session HTTP/1.1\r\nHost: h\r\nOrigin: %s\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /SECRET%s HTTP/1.1\r\nHost: h\r\n\r\n" % LONG, 400),
        (b"GET /ws?token=SECRET%s HTTP/1.1\r\nHost: h\r\n\r\n" % LONG, 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nSECRET: %s\r\n\r\n" % LONG, 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nSECRET%s: x\r\n\r\n" % LONG, 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer SECRET\x00\r\n\r\n", 400),
        (b"GET http://[SECRET HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /SECRET HTTP/9.9.9\r\n\r\n", 400),
        (b"\x16\x03\x01SECRET\r\n\r\n", 400),
        (b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: SECRET\r\n\r\n", 400),
        (POST + b"Content-Length: SECRET\r\n\r\n", 400),
        (POST + b"Content-Length: 20000\r\n\r\n" + LONG, 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nSECRET\r\n", 400),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\nSECRET", 400),
        (POST + b"Content-Length: 4000\r\n\r\n" + b"[" * 4000, 400),
        (POST + b'Content-Length: 15\r\n\r\n{"token": "\xff"}\n', 400),
    ],
)  # fmt: skip
async def test_a_bad_request_is_refused_and_leaves_nothing_in_the_log(
    board: Opened, request_: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(board.origin.rpartition(":")[2]))
    writer.write(request_.replace(b"%s", board.origin.encode()))
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert head.split()[1] == str(status).encode()
    assert b"\r\nServer:" not in head
    assert [record.getMessage() for record in caplog.records if record.exc_info or record.levelname != "INFO"] == []
    assert "SECRET" not in caplog.text
    assert (await board.session.get(board.url)).status == 200


@pytest.mark.parametrize("first", ["[" * 4000, "x" * 100_000, '{"token": "\\ud800"}', b"\xff" * 10, '{"token": 1e999}'])
async def test_a_bad_first_message_closes_the_socket_and_leaves_nothing_in_the_log(
    board: Opened, first: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with board.socket() as socket:
        with suppress(ConnectionError):
            await (socket.send_str(first) if isinstance(first, str) else socket.send_bytes(first))
        await closed_with(socket)
    assert [record.getMessage() for record in caplog.records if record.exc_info or record.levelname != "INFO"] == []


async def test_clients_over_the_limit_are_refused_until_others_leave(tmp_path: Path) -> None:
    async with opened(tmp_path, max_clients=2) as board:
        one, two = await board.socket(headers=BEARER), await board.socket(headers=BEARER)
        await heard(one)
        await heard(two)
        assert await refused(board, headers=BEARER) == 503
        await one.close()
        async with await admitted(board, headers=BEARER) as three:
            await heard(three)
        await two.close()


async def test_only_a_client_that_sends_messages_is_disconnected(board: Opened) -> None:
    async with board.socket(headers=BEARER) as good:
        await heard(good)
        async with board.socket(headers=BEARER) as talks:
            await talks.send_str("hello")
            assert await closed_with(talks) == aiohttp.WSCloseCode.POLICY_VIOLATION
        async with board.socket(headers=BEARER) as shouts:
            await heard(shouts)
            with suppress(ConnectionError):  # it is cut off before the end of it
                await shouts.send_str("x" * 10_000_000)
            await closed_with(shouts)
        await board.dashboard.export([turn(1)])
        assert (await heard(good))["type"] == "update"


async def test_recipe_7_the_page_is_all_of_this_server_and_may_run_nothing_else(board: Opened) -> None:
    answer = await board.session.get(board.url)
    page = await answer.text()
    assert "Server" not in answer.headers  # its versions would tell strangers which flaws to try
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "//" not in page.replace("<!doctype html>", "")
    for name in ("dashboard.js", "dashboard.css", "uPlot.js", "uPlot.css", "icon.svg", "theme.js"):
        assert (await board.session.get(f"{board.url}page/{name}")).status == 200
    for name in ("uPlot.LICENSE", "..%2Fserver.py", "index.html.bak", "%00"):
        assert (await board.session.get(f"{board.url}page/{name}")).status == 404


async def test_the_chart_library_comes_with_its_licence() -> None:
    assert "Permission is hereby granted" in (server.PAGE / "uPlot.LICENSE").read_text()


# What they see


async def test_recipe_7_tenants_do_not_see_each_other(board: Opened) -> None:
    board.dashboard.watch(lambda: [{"exporter": "exporters/other"}])
    before = [turn(0, tenant="acme"), turn(1, tenant="globex"), turn(2)]
    await board.dashboard.export(before)
    async with (
        board.socket(headers={"Authorization": f"Bearer {ACME}"}) as acme,
        board.socket(headers={"Authorization": f"Bearer {GLOBEX}"}) as globex,
        board.socket(headers=BEARER) as everyone,
    ):
        seen = {name: [await heard(socket)] for name, socket in (("acme", acme), ("globex", globex), ("all", everyone))}
        await board.dashboard.export([turn(3, tenant="globex"), event("error", tenant="globex", code="x")])
        await board.dashboard.export([turn(4, tenant="acme")])
        seen["acme"].append(await heard(acme))
        seen["globex"].append(await heard(globex))
        seen["all"] += [await heard(everyone), await heard(everyone)]
    latencies = {
        name: [row["latency_ms"] for message in messages for row in message["turns"]] for name, messages in seen.items()
    }
    assert latencies == {"acme": [100, 104], "globex": [101, 103], "all": [100, 101, 102, 103, 104]}
    assert "globex" not in json.dumps(seen["acme"])
    assert sum(bucket["turns"] for bucket in seen["acme"][0]["seconds"]) == 1
    assert seen["acme"][0]["exporters"] == []
    assert seen["all"][0]["exporters"] == [{"exporter": "exporters/other"}]


async def test_recipe_7_cost_is_told_and_what_is_not_known_is_not_zero(board: Opened) -> None:
    priced = event("model_call", input_tokens=10, output_tokens=5, cost_usd=0.25)
    await board.dashboard.export([priced, priced, event("model_call", input_tokens=1, output_tokens=1, cost_usd=None)])
    async with board.socket(headers=BEARER) as socket:
        (bucket,) = (await heard(socket))["seconds"]
    assert (bucket["cost"], bucket["unpriced"]) == (0.5, 1)
    assert (bucket["input"], bucket["output"]) == (21, 11)


async def test_a_bucket_counts_turns_tools_errors_and_arms() -> None:
    history = History(60)
    history.add(
        [
            turn(0),
            evolve(turn(1, stop_reason="error"), variants={"tone": "cool", "length": "short"}),
            event("tool_call", tool="find", ok=True, price_usd=0.01),
            event("tool_call", tool="find", ok=False, price_usd=None),
            event("tool_call", tool=None, ok=False),
            event("error", code="tool"),
            event("compaction", before=1),
        ],
        NOW,
    )
    (bucket,) = history.as_json(NOW)["seconds"]
    assert (bucket["turns"], bucket["failed"]) == (2, 1)
    assert bucket["tools"] == {"find": [2, 1, 0.01], "(not offered)": [1, 1, 0.0]}
    assert bucket["errors"] == {"tool": 1}
    assert {arm: tally["turns"] for arm, tally in bucket["arms"]["tone"].items()} == {"warm": 1, "cool": 1}
    assert bucket["arms"]["length"]["short"]["failed"] == 1
    assert [1.05**place for place, _ in bucket["latency"]] == pytest.approx([100, 101], rel=0.025)


async def test_recipe_7_history_is_bounded_in_buckets_names_and_rows() -> None:
    history = History(60)
    for number in range(3 * SECONDS):
        history.add([turn(number, time=NOW + number)], NOW + number)
    for number in range(10 * NAMES):
        history.add([event("tool_call", NOW + 3 * SECONDS, tool=f"tool-{number}", ok=True)], NOW + 3 * SECONDS)
    known = history.as_json(NOW + 3 * SECONDS)
    assert len(known["seconds"]) == SECONDS
    assert len(known["minutes"]) <= 60
    assert len(known["turns"]) == TAIL
    tools = known["seconds"][-1]["tools"]
    assert len(tools) == NAMES + 1
    assert tools[OTHER] == [9 * NAMES, 0, 0.0]


@pytest.mark.parametrize("time", [0.0, NOW - 10 * 86400, -1.0])
async def test_an_old_event_creates_no_bucket(time: float) -> None:
    series = Series(1, 600)
    assert series.at(time, NOW) is None
    assert len(series) == 0


async def test_an_event_from_the_future_counts_as_now() -> None:
    series = Series(1, 600)
    found = series.at(NOW + 1e9, NOW)
    assert found is not None
    assert found[0] == NOW


async def test_unexpected_data_stops_nothing(board: Opened) -> None:
    odd: list[Any] = ["text", None, float("nan"), float("inf"), {"a": 1}, [1], "\ud800", "x" * 10_000, True, -1]
    async with board.socket(headers=BEARER) as socket:
        await heard(socket)
        for value in odd:
            data = dict.fromkeys(
                ("latency_ms", "cost_usd", "input_tokens", "stop_reason", "tool", "code", "node"), value
            )
            kinds: Sequence[Any] = ("turn", "token_usage", "tool_call", "error", "feedback")
            await board.dashboard.export([event(kind, **data) for kind in kinds])
            assert (await heard(socket))["type"] == "update"


# Nobody holds up another


async def who_never_reads(board: Opened) -> sockets.socket:
    """A client that asks for the stream and reads none of it."""
    stuck = sockets.socket()
    stuck.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    stuck.connect(("127.0.0.1", int(board.origin.rpartition(":")[2])))
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    stuck.sendall(f"GET /ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{upgrade}{key}\r\n".encode())
    before = len(board.dashboard.hub)
    while len(board.dashboard.hub) == before:
        await asyncio.sleep(0)
    return stuck


async def test_recipe_7_one_client_that_does_not_read_holds_up_nobody(board: Opened) -> None:
    """It reads nothing from its socket; the others get all that is sent, each exactly once and in order."""
    stuck = await who_never_reads(board)
    others = [await board.socket(headers=BEARER) for _ in range(5)]
    for socket in others:
        await heard(socket)
    batches, events = 300, 100

    found: list[list[float]] = [[] for _ in others]

    async def read(socket: aiohttp.ClientWebSocketResponse, rows: list[float]) -> None:
        while len(rows) < batches * events:
            rows += [row["latency_ms"] for row in (await heard(socket, "update"))["turns"]]

    reading = [asyncio.create_task(read(*pair)) for pair in zip(others, found, strict=True)]
    for batch in range(batches):
        await board.dashboard.export([turn(batch * events + number) for number in range(events)])
        while min(map(len, found)) < (batch - 32) * events:  # those who do read are half a queue behind at most
            await asyncio.sleep(0)
    await asyncio.gather(*reading)
    assert found == [[100.0 + number for number in range(batches * events)]] * len(others)
    (slow,) = [client for client in board.dashboard.hub._clients if client.dropped]
    assert len(slow.waiting) == hubs.QUEUE  # bounded, whatever comes
    for socket in others:
        await socket.close()
    stuck.close()


async def test_recipe_7_a_slow_client_is_told_how_much_it_missed_and_gets_everything_anew() -> None:
    hub = Hub([EVERYONE], 60, StillClock(NOW))
    client = hub.join(EVERYONE)
    for number in range(hubs.QUEUE + 36):
        await hub.export([turn(number)])
    gap, snapshot = map(json.loads, await hub.next_messages(client))
    assert (gap["type"], gap["count"]) == ("dropped", 37)  # its first snapshot, too
    assert snapshot["type"] == "snapshot"
    assert sum(bucket["turns"] for bucket in snapshot["seconds"]) == hubs.QUEUE + 36
    await hub.export([turn(1)])
    assert [json.loads(message)["type"] for message in await hub.next_messages(client)] == ["update"]


async def test_a_client_too_slow_for_one_message_is_disconnected(
    board: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_SECONDS", 0.05)
    stuck = await who_never_reads(board)
    async with asyncio.timeout(PATIENCE_S):
        while len(board.dashboard.hub):
            await board.dashboard.export([turn(number) for number in range(100)])
            await asyncio.sleep(0)
    assert len(board.dashboard.hub) == 0
    stuck.close()


@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_recipe_7_who_leaves_is_forgotten(board: Opened, leave: str) -> None:
    socket = await board.socket(headers=BEARER)
    await heard(socket)
    if leave == "close":
        await socket.close()
    else:
        socket._response.connection.transport.abort()
        await socket.close()
    async with asyncio.timeout(PATIENCE_S):
        while len(board.dashboard.hub):
            await board.dashboard.export([turn(1)])
            await asyncio.sleep(0)
    assert len(board.dashboard.hub) == 0


async def test_clients_are_disconnected_with_a_reason_at_the_end(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with opened(tmp_path) as board:
            socket = await session.ws_connect(f"{board.url}ws", headers=BEARER)
            await heard(socket)
            end = asyncio.create_task(closed_with(socket))
        assert await end == aiohttp.WSCloseCode.GOING_AWAY


async def test_clients_receive_beats(board: Opened) -> None:
    async with board.socket(headers=BEARER) as socket:
        await heard(socket)
        board.dashboard.hub.beat()
        assert (await heard(socket))["type"] == "beat"


# Opening it


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path) as board:
        port = int(board.origin.rpartition(":")[2])
        context = surroundings(tmp_path, "exporters/websocket", environment={"TOKEN": TOKEN}).context
        with pytest.raises(ComponentError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use .*`port`"):
            async with websocket.build(websocket.Config(port=port, token=Secret("env", "TOKEN")), context):
                pass


async def test_without_its_token_the_dashboard_does_not_start(tmp_path: Path) -> None:
    context = surroundings(tmp_path, "exporters/websocket").context
    with pytest.raises(SecretError):
        async with websocket.build(websocket.Config(port=0, token=Secret("env", "TOKEN")), context):
            pass


async def test_a_short_token_is_reported_once_without_showing_it(tmp_path: Path) -> None:
    around = surroundings(tmp_path, "exporters/websocket", environment={"TOKEN": "abc123"})
    async with websocket.build(websocket.Config(port=0, token=Secret("env", "TOKEN")), around.context):
        pass
    assert [message for message, _ in around.reports] == ["a token of the dashboard has fewer than 16 characters"]


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ({"host": "0.0.0.0"}, "set the page's address in 'origins'"),
        ({"origins": ["dash.example.com"]}, "is not an origin"),
        ({"origins": ["https://dash.example.com/board"]}, "is not an origin"),
    ],
)
def test_a_dashboard_on_a_public_address_needs_an_origin(config: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        websocket.Config.model_validate({"token": Secret("env", "TOKEN"), **config})


def test_scopes_are_equal_by_tenant() -> None:
    make: Callable[[str | None], Scope] = Scope
    assert make(None) == EVERYONE
    assert make("acme") != EVERYONE
