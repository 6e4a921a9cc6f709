"""The recording proxy between the official SDKs and a server: what passes is untouched, and what is written can be read."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from attrs import define, field
from yarl import URL

from tests.components.models.playback import Piece, Playback, events, streamed, whole
from tests.components.models.recorded import (
    ANTHROPIC_TEXT,
    OPENAI_TEXT,
    RESPONSES_TEXT,
    anthropic_whole,
    openai_whole,
    response,
    spoken,
)
from victor_dsl.storage.line_file import LineFile
from victor_dsl.values.codec import read_request
from victor_dsl.values.message import Message
from victor_dsl.values.traffic import MOST_LINE_BYTES, TrafficWriter
from victor_dsl.workbench.recording.answers import AnswerReader, read_usage
from victor_dsl.workbench.recording.proxy import recording
from victor_dsl.workbench.recording.recorder import Recorder
from victor_dsl.workbench.recording.sessions import Sessions

KEY = "sk-" + "a1B2" * 8
ASKED = [{"role": "user", "content": f"I am bob@example.com, with {KEY}."}]
REDACTED = "I am [email], with [api_key]."


@define
class Proxied:
    """A proxy, and what it wrote once it has ended."""

    url: str
    path: Path
    recorder: Recorder
    warnings: list[str] = field(factory=list)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@asynccontextmanager
async def proxied(upstream: str, folder: Path, *, redact: bool = True) -> AsyncIterator[Proxied]:
    path, warnings = folder / "traffic.jsonl", []  # type: ignore[var-annotated]
    file = LineFile(str(path))
    file.open()
    writer = TrafficWriter(b"k" * 32, personal_data=not redact)
    async with recording(URL(upstream), 0, file, writer, warnings.append) as (port, recorder):
        yield Proxied(f"http://127.0.0.1:{port}", path, recorder, warnings)


async def test_the_openai_sdk_gets_what_the_server_says_and_the_request_is_recorded(tmp_path: Path) -> None:
    openai = pytest.importorskip("openai")
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    answers = [whole(openai_whole({"content": "Hello!"})), streamed(OPENAI_TEXT, "end")]
    async with Playback(*answers) as server:
        async with (
            proxied(server.url, tmp_path) as proxy,
            openai.AsyncOpenAI(api_key=KEY, base_url=f"{proxy.url}/v1", max_retries=0) as client,
        ):
            plain = await client.chat.completions.create(
                model="gpt-4.1-mini", messages=ASKED, tools=[tool], temperature=0.2, max_completion_tokens=50
            )
            asked = [*ASKED, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "And now?"}]
            stream = await client.chat.completions.create(model="gpt-4.1-mini", messages=asked, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        assert plain.choices[0].message.content == "Hello!"
        assert text == "Grüß dich, 🌍!"
        assert [asked.path for asked in server.asked] == ["/v1/chat/completions"] * 2
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
        assert server.asked[0].headers["user-agent"].startswith("AsyncOpenAI/")
        assert server.asked[0].body["messages"] == ASKED
    first, second = proxy.lines
    assert first["messages"] == [{"role": "user", "content": REDACTED}]
    assert first["tools"] == [tool]
    assert first["settings"] == {"temperature": 0.2, "max_tokens": 50}
    assert first["session"] == second["session"]
    for line in (first, second):
        assert line["recorded"]["model"] == "gpt-4.1-mini-2025-04-14"
        assert (line["recorded"]["api"], line["recorded"]["status"]) == ("/chat/completions", 200)
        assert line["recorded"]["usage"]["input_tokens"] == 1200
        assert line["recorded"]["usage"]["cached_tokens"] == 1024
        assert line["recorded"]["stop_reason"] == "stop"
        assert read_request(line).messages
    assert KEY not in proxy.path.read_text()
    assert proxy.path.stat().st_mode & 0o777 == 0o600


async def test_the_responses_api_is_recorded(tmp_path: Path) -> None:
    openai = pytest.importorskip("openai")
    answers = [whole(response([spoken("Hello!")])), streamed(RESPONSES_TEXT, "end")]
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Rain."},
        {"role": "user", "content": "And?"},
    ]
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object"}}, {"type": "web_search"}]
    async with (
        Playback(*answers) as server,
        proxied(f"{server.url}/v1", tmp_path) as proxy,
        openai.AsyncOpenAI(api_key=KEY, base_url=f"{proxy.url}/v1", max_retries=0) as client,
    ):
        plain = await client.responses.create(model="gpt-5", input="Hi", instructions="Be brief.")
        stream = await client.responses.create(model="gpt-5", input=items, tools=tools, stream=True)
        kinds = [event.type async for event in stream]
    assert plain.output_text == "Hello!"
    assert kinds[-1] == "response.completed"
    assert [asked.path for asked in server.asked] == ["/v1/responses"] * 2
    first, second = proxy.lines
    assert first["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    assert second["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "Rain.", "tool_call_id": "c1"},
        {"role": "user", "content": "And?"},
    ]
    assert [tool["function"]["name"] for tool in second["tools"]] == ["look"]
    assert second["recorded"]["left_out"] == ["tools[1]: of type web_search"]
    assert all(line["recorded"]["usage"]["output_tokens"] for line in proxy.lines)
    assert all(line["recorded"]["stop_reason"] == "completed" for line in proxy.lines)


async def test_the_anthropic_sdk_gets_what_the_server_says_and_the_request_is_recorded(tmp_path: Path) -> None:
    anthropic = pytest.importorskip("anthropic")
    answers = [whole(anthropic_whole([{"type": "text", "text": "Hello!"}])), streamed(ANTHROPIC_TEXT, "end")]
    png = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    asked = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "Rome"}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "Rain."}]},
                {"type": "text", "text": "See:"},
                png,
            ],
        },
    ]
    tools = [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}]
    async with (
        Playback(*answers) as server,
        proxied(server.url, tmp_path) as proxy,
        anthropic.AsyncAnthropic(api_key=KEY, base_url=proxy.url, max_retries=0) as client,
    ):
        plain = await client.messages.create(
            model="claude", max_tokens=99, system="Be brief.", messages=ASKED, stop_sequences=["END"]
        )
        stream = await client.messages.create(
            model="claude", max_tokens=9, messages=asked, tools=tools, stream=True, metadata={"user_id": "u1"}
        )
        kinds = [event.type async for event in stream]
    assert plain.content[0].text == "Hello!"
    assert kinds[-1] == "message_stop"
    assert KEY in " ".join(server.asked[0].headers.values())
    first, second = proxy.lines
    assert first["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": REDACTED}]
    assert first["settings"] == {"max_tokens": 99, "stop": ["END"]}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "Rome"}'}}
    assert second["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "Rain.", "tool_call_id": "c1"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ],
        },
    ]
    assert second["tools"][0]["function"] == {
        "name": "look",
        "description": "Looks.",
        "parameters": tools[0]["input_schema"],
    }
    assert (second["user"], second["recorded"]["stop_reason"]) == ("u1", "end_turn")
    assert all(line["recorded"]["usage"]["input_tokens"] for line in proxy.lines)
    assert all(read_request(line) for line in proxy.lines)
    assert KEY not in proxy.path.read_text()


PACKED = gzip.compress(OPENAI_TEXT)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (streamed(*[OPENAI_TEXT[n : n + 7] for n in range(0, len(OPENAI_TEXT), 7)], "end"), OPENAI_TEXT),
        (whole(PACKED, "200 OK", "text/event-stream", "Content-Encoding: gzip", "X-Request-Id: r1"), PACKED),
        (whole(zlib.compress(b'{"model": "m"}'), "200 OK", "application/json", "Content-Encoding: deflate"), None),
        (whole(b"\x00\xff broken", "200 OK", "application/json", "Content-Encoding: gzip"), b"\x00\xff broken"),
        (whole(b""), b""),
        (whole({"error": {"message": "no"}}, "429 Too Many Requests", "application/json", "Retry-After: 3"), None),
    ],
    ids=["stream", "gzip", "deflate", "broken gzip", "empty", "refusal"],
)
async def test_every_byte_and_header_passes_as_it_came(tmp_path: Path, answer: list[Piece], body: bytes | None) -> None:
    async with Playback(answer) as server, proxied(server.url, tmp_path) as proxy:
        direct = await ask(server.url)
        passed = await ask(proxy.url)
    assert passed == direct
    assert body is None or passed[2] == body
    assert server.asked[1].headers == {**server.asked[0].headers, "host": server.asked[1].headers["host"]}


async def ask(url: str, body: Any = None, path: str = "/v1/chat/completions") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and undecoded body of an answer."""
    given = json.dumps({"model": "m", "messages": ASKED} if body is None else body).encode()
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(url + path, data=given, headers={"X-Mine": "1", "Content-Type": "application/json"}) as answer,
    ):
        headers = {name: value for name, value in answer.headers.items() if name != "Date"}
        return answer.status, headers, await answer.read()


async def test_a_stream_passes_before_it_has_ended(tmp_path: Path) -> None:
    first = events({"choices": [{"delta": {"content": "a"}}]})
    async with Playback(streamed(first, "hang")) as server, proxied(server.url, tmp_path) as proxy:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{proxy.url}/v1/chat/completions", json={"messages": ASKED}) as answer,
        ):
            assert await answer.content.readexactly(len(first)) == first
        await server.hung_up.wait()  # the client went away, and so did the proxy
    (line,) = proxy.lines
    assert line["recorded"]["error"] == "the client went away"


@pytest.mark.parametrize("end", ["reset", None])
async def test_an_upstream_that_dies_breaks_the_stream_off_and_the_request_is_recorded(
    tmp_path: Path, end: Any
) -> None:
    pieces = [OPENAI_TEXT[: OPENAI_TEXT.index(b"\n\n") + 30], *([end] if end else [])]
    async with (
        Playback(streamed(*pieces)) as server,
        proxied(server.url, tmp_path) as proxy,
        aiohttp.ClientSession() as session,
        session.post(f"{proxy.url}/v1/chat/completions", json={"messages": ASKED}) as answer,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    (line,) = proxy.lines
    assert line["recorded"]["error"] == "the upstream broke off"
    assert line["recorded"]["model"] == "gpt-4.1-mini-2025-04-14"
    assert "broke off" in proxy.warnings[0]


async def test_an_upstream_that_is_away_is_an_error_that_names_it(tmp_path: Path) -> None:
    async with Playback() as server:
        gone = server.url
    async with proxied(gone, tmp_path) as proxy:
        status, _, body = await ask(proxy.url)
    assert status == 502
    assert f"victor record: {gone} did not answer: " in json.loads(body)["error"]["message"]
    assert proxy.recorder.skipped == {"not answered": 1}
    assert len(proxy.warnings) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0, ssl=self_signed(tmp_path)) as server:
        port = server.sockets[0].getsockname()[1]
        async with proxied(f"https://localhost:{port}", tmp_path) as proxy:
            status, _, body = await ask(proxy.url)
    assert (status, asked) == (502, [])
    assert "certificate verify failed" in json.loads(body)["error"]["message"]


def self_signed(folder: Path) -> Any:
    import ssl
    import subprocess

    certificate, key = folder / "c.pem", folder / "k.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, list[int]]]:
    """A server that reads bodies of any size."""
    sizes: list[int] = []

    async def read(request: web.Request) -> web.Response:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        sizes.append(size)
        return web.json_response({"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", read)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", sizes
    finally:
        await runner.cleanup()


async def test_a_body_that_is_too_long_passes_and_is_not_recorded(tmp_path: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3 * (MOST_LINE_BYTES >> 20)):
            yield b"x" * (1 << 20)

    async with sink() as (url, sizes), proxied(url, tmp_path) as proxy, aiohttp.ClientSession() as session:
        async with session.post(f"{proxy.url}/v1/messages", data=body()) as answer:
            assert answer.status == 200
        assert proxy.recorder.held == 0
    assert sizes == [3 * MOST_LINE_BYTES]
    assert proxy.recorder.skipped == {"too long": 1}
    assert proxy.lines == []


async def test_many_clients_at_once_have_a_line_and_a_session_each(tmp_path: Path) -> None:
    async with sink() as (url, sizes), proxied(url, tmp_path) as proxy:
        asked = [{"messages": [{"role": "user", "content": f"question {n % 10}"}]} for n in range(100)]
        await asyncio.gather(*[ask(proxy.url, body) for body in asked])
    assert len(sizes) == len(proxy.lines) == 100
    assert len({line["session"] for line in proxy.lines}) == 100
    assert proxy.recorder.held == 0


async def test_two_conversations_that_begin_alike_are_two_sessions_and_their_turns_are_one_each(
    tmp_path: Path,
) -> None:
    def turns(*texts: str) -> dict[str, Any]:
        roles = ("user", "assistant")
        said = [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]
        return {"messages": [{"role": "system", "content": f"It is turn {len(texts)}."}, *said]}

    asked = [
        turns("Hi"),
        turns("Hi"),
        turns("Hi", "Hello!", "A?"),
        turns("Hi", "Hello!", "B?"),
        turns("Hi", "Hello!", "A?", "Yes.", "More?"),
        turns("Hi", "Hello!", "B?", "No.", "More?"),
    ]
    async with sink() as (url, _), proxied(url, tmp_path) as proxy:
        for body in asked:
            await ask(proxy.url, body)
    one, two, a, b, a2, b2 = [line["session"] for line in proxy.lines]
    assert one != two
    assert {a, b} == {one, two}
    assert (a2, b2) == (a, b)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"messages": "no"}, "messages is no list"),
        ({"messages": [7]}, "a message is no map"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role: must be one of"),
        ({"messages": [{"role": "system", "content": "x"}]}, "there is no message to answer"),
        ([1], "its body is not a JSON object"),
    ],
)
async def test_a_request_that_is_none_passes_and_is_counted_with_the_reason(
    tmp_path: Path, body: Any, why: str
) -> None:
    async with sink() as (url, sizes), proxied(url, tmp_path) as proxy:
        assert (await ask(proxy.url, body))[0] == 200
    assert len(sizes) == 1
    ((reason, count),) = proxy.recorder.skipped.items()
    assert (reason.startswith(why), count) == (True, 1)
    assert proxy.lines == []


async def test_other_paths_pass_and_are_not_recorded(tmp_path: Path) -> None:
    async with sink() as (url, sizes), proxied(url, tmp_path) as proxy:
        for path in ("/v1/embeddings", "/v1/threads/t1/messages", "/v1/messages/count_tokens", "/v1/models?a=b%20c"):
            assert (await ask(proxy.url, path=path))[0] == 200
    assert len(sizes) == 4
    assert proxy.lines == []
    assert proxy.recorder.skipped == {}


async def test_personal_data_stays_on_request_and_keys_never_do(tmp_path: Path) -> None:
    async with sink() as (url, _), proxied(url, tmp_path, redact=False) as proxy:
        await ask(proxy.url)
    assert proxy.lines[0]["messages"][0]["content"] == "I am bob@example.com, with [api_key]."


async def test_a_compressed_request_passes_as_it_is_and_is_recorded(tmp_path: Path) -> None:
    packed = gzip.compress(json.dumps({"messages": ASKED}).encode())
    async with sink() as (url, sizes), proxied(url, tmp_path) as proxy, aiohttp.ClientSession() as session:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        async with session.post(f"{proxy.url}/v1/chat/completions", data=packed, headers=headers) as answer:
            assert answer.status == 200
    assert proxy.lines[0]["messages"][0]["content"] == REDACTED
    del sizes


async def test_a_file_that_cannot_be_written_stops_no_request(tmp_path: Path) -> None:
    (tmp_path / "traffic.jsonl").symlink_to("/dev/full")
    async with sink() as (url, _), proxied(url, tmp_path) as proxy:
        assert (await ask(proxy.url))[0] == 200
        assert (await ask(proxy.url))[0] == 200
    assert proxy.recorder.skipped == {"the file could not be written": 2}
    assert proxy.warnings == ["the file cannot be written: no space left on device"]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}}, (7, 2, 5, None)),
        ({"input_tokens": 3, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 4}, (17, None, 10, 4)),
        ({"input_tokens": 3, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 1}}, (3, 9, 1, None)),
        ({"prompt_tokens": "7", "completion_tokens": True}, (None, None, None, None)),
    ],
)
def test_usage_counts_all_input_whatever_the_api(usage: Mapping[str, Any], expected: tuple[int | None, ...]) -> None:
    read = read_usage(usage)
    assert (read.input_tokens, read.output_tokens, read.cached_tokens, read.cache_write_tokens) == expected


def test_an_answer_in_an_unknown_encoding_reports_nothing() -> None:
    reader = AnswerReader("application/json", "br")
    reader.feed(b'{"model": "m"}')
    assert reader.recorded()["model"] is None


async def raw(url: str, data: bytes) -> bytes:
    """All that a connection answers to these bytes until the proxy ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "head",
    [
        f"GET /v1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY} {'x' * 70_000}",
        f"GET /v1/x HTTP/1.1\r\nHost: a\r\nAuthorization {KEY}: x",
        f"GET /v1/ü?api_key={KEY} HTTP/1.1\r\nHost: a",
        f"GET /v1/x?api_key={KEY} x HTTP/1.1\r\nHost: a",
    ],
    ids=["long", "name", "target", "line"],
)
async def test_what_is_not_http_is_refused_and_not_logged(
    tmp_path: Path, head: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with sink() as (url, sizes), proxied(url, tmp_path) as proxy:
        answer = await raw(proxy.url, f"{head}\r\nConnection: close\r\n\r\n".encode())
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert sizes == []
    assert KEY not in caplog.text + "".join(capfd.readouterr())
    assert caplog.text == ""


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "//other.example/x", "/\\other.example/x", "/v1/../../@other.example/x"]
)
async def test_no_target_of_a_request_reaches_another_server(tmp_path: Path, target: str) -> None:
    async with sink() as (url, sizes), proxied(url, tmp_path) as proxy:
        head = f"GET {target} HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"
        status = int((await raw(proxy.url, head.encode())).split()[1])
    assert (status, len(sizes)) == ((501, 0) if target.startswith("http:") else (200, 1))


async def test_long_headers_pass_and_a_type_of_content_is_not_made_up(tmp_path: Path) -> None:
    long = "x" * 20_000
    answer = [f"HTTP/1.1 200 OK\r\nX-Long: {long}\r\nContent-Length: 2\r\n\r\nok".encode()]
    async with Playback(answer) as server, proxied(server.url, tmp_path) as proxy:
        head = f"POST /v1/x HTTP/1.1\r\nHost: a\r\nX-Mine: {long}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        passed = await raw(proxy.url, head.encode())
    assert f"X-Long: {long}\r\n".encode() in passed
    assert b"Content-Type" not in passed
    assert server.asked[0].headers["x-mine"] == long


async def test_a_slow_client_and_a_slow_upstream_meet_byte_by_byte(tmp_path: Path) -> None:
    """Neither is waited for: the upstream has the first half of the body before the client sends the rest."""
    body = json.dumps({"model": "m", "messages": ASKED}).encode()
    half, came = asyncio.Event(), bytearray()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while len(came) < len(body):
            came.extend(await reader.read(1))
            if len(came) == len(body) // 2:
                half.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        await writer.drain()
        await got_first.wait()
        writer.write(b"}")
        writer.close()

    got_first = asyncio.Event()
    async with await asyncio.start_server(upstream, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with proxied(f"http://127.0.0.1:{port}", tmp_path) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", URL(proxy.url).port)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body[: len(body) // 2])
            await half.wait()
            for byte in body[len(body) // 2 :]:
                writer.write(bytes([byte]))
                await writer.drain()
            assert (await reader.readuntil(b"{")).startswith(b"HTTP/1.1 200 OK")
            got_first.set()
            assert await reader.readexactly(1) == b"}"
            writer.close()
    assert bytes(came) == body
    assert proxy.lines[0]["messages"][0]["content"] == REDACTED


async def test_what_a_request_line_cannot_have_is_left_out_and_named(tmp_path: Path) -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "f", "input": "x"}}
    body = {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Wait.", "tool_calls": [custom]},
            {"role": "tool", "tool_call_id": "c1", "content": "x"},
        ],
        "temperature": 0.5,
        "top_p": 0,
        "n": 3,
        "tool_choice": "auto",
        "stream": False,
        "seed": None,
    }
    async with sink() as (url, _), proxied(url, tmp_path) as proxy:
        await ask(proxy.url, body)
    (line,) = proxy.lines
    assert line["settings"] == {"temperature": 0.5}
    assert line["recorded"]["left_out"] == [
        "messages[1].tool_calls[0]: of type custom",
        "settings.top_p must be more than 0",
        "n: request lines have no such setting",
    ]
    assert read_request(line).messages


async def test_functions_that_are_no_list_are_no_internal_error(tmp_path: Path) -> None:
    async with sink() as (url, _), proxied(url, tmp_path) as proxy:
        await ask(proxy.url, {"messages": ASKED, "functions": 5})
    assert proxy.recorder.skipped == {"functions is no list": 1}


def test_hundreds_of_conversations_with_equal_beginnings_are_all_continued() -> None:
    sessions = Sessions()
    first = [sessions.session("ann", [Message("user", "Hi")]) for _ in range(500)]
    both = [Message("user", "Hi"), Message("assistant", "Hello!")]
    later = [sessions.session("ann", [*both, Message("user", f"question {number}")]) for number in range(500)]
    assert later == first
    assert len(set(first)) == 500


def test_conversations_beyond_the_most_are_forgotten_the_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("victor_dsl.workbench.recording.sessions.MOST_SESSIONS", 3)
    sessions = Sessions()
    made = [sessions.session("ann", [Message("user", text)]) for text in ("a", "a", "b", "c")]
    again = [
        sessions.session("ann", [Message("user", text), Message("assistant", "x"), Message("user", "y")])
        for text in ("a", "b", "c", "a")
    ]
    assert again[:3] == made[1:]
    assert again[3] not in made


async def test_a_stream_under_way_when_the_recording_ends_is_recorded_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("victor_dsl.workbench.recording.proxy.GRACE_SECONDS", 0.1)
    first = events({"model": "m", "choices": [{"delta": {"content": "a"}}]})
    async with Playback(streamed(first, "hang")) as server, aiohttp.ClientSession() as session:
        async with proxied(server.url, tmp_path) as proxy:
            answer = await session.post(f"{proxy.url}/v1/chat/completions", json={"messages": ASKED})
            assert await answer.content.readexactly(len(first)) == first
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    (line,) = proxy.lines
    assert (line["recorded"]["error"], line["recorded"]["model"]) == ("the recording ended", "m")
