"""Every way that a server fails, for every API."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import subprocess
import traceback
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from tests.components.models.asking import HELLO, KEY, MODULES, Listener, asking
from tests.components.models.playback import Answer, Piece, Playback, events, streamed, whole
from tests.components.models.recorded import (
    FINISHED,
    TEXT,
    anthropic_whole,
    called,
    openai_whole,
    reasoned,
    response,
    spoken,
)
from victor_dsl.components.stored_turns import messages_to_text, read_history
from victor_dsl.errors import ModelError, SecretError
from victor_dsl.transport import http
from victor_dsl.values.turn import Turn

TYPES = pytest.mark.parametrize("type", list(MODULES))
STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streamed"])
GOOD = {
    "openai": whole(openai_whole({"content": "Hi."})),
    "responses": whole(response([spoken("Hi.")])),
    "anthropic": whole(anthropic_whole([{"type": "text", "text": "Hi."}])),
}


async def failing(
    type: str, *answers: Answer, streaming: bool = False, turn: Turn = HELLO, **fields: Any
) -> ModelError:
    """The error that the answers lead to; neither it nor its traceback has the key in it."""
    async with Playback(*answers) as server:
        return await failing_at(type, server.url, streaming=streaming, turn=turn, **fields)


async def failing_at(type: str, url: str, *, streaming: bool = False, turn: Turn = HELLO, **fields: Any) -> ModelError:
    async with asking(type, url, **fields) as model:
        turn = Listener().to(turn) if streaming else turn
        with pytest.raises(ModelError) as raised:
            await model.answer(turn)
    error = raised.value
    assert error.node == "models/main"
    assert KEY not in "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        assert KEY not in repr(seen)
        seen = seen.__cause__ or seen.__context__
    return error


@TYPES
@STREAMING
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("401 Unauthorized", {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}, "authentication"),
        ("403 Forbidden", {"error": {"message": "no access", "type": "permission_error"}}, "authentication"),
        ("402 Payment Required", {"error": {"message": "no credit", "type": "billing_error"}}, "authentication"),
        ("429 Too Many Requests", {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, "rate_limited"),
        ("400 Bad Request", {"error": {"message": "temperature is too high"}}, "bad_request"),
        ("404 Not Found", {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, "model_not_found"),
        ("422 Unprocessable Entity", {"detail": [{"loc": ["body"], "msg": "field required"}]}, "bad_request"),
        ("400 Bad Request", {"error": {"message": "…", "code": "context_length_exceeded"}}, "context_length"),
        ("400 Bad Request", {"error": {"message": "This model's maximum context length is 8192 tokens."}}, "context_length"),
        ("400 Bad Request", {"type": "error", "error": {"type": "invalid_request_error",
         "message": "prompt is too long: 210000 tokens > 200000 maximum"}}, "context_length"),
        ("400 Bad Request", {"error": {"message": "request (9000 tokens) exceeds the available context size",
         "type": "exceed_context_size_error"}}, "context_length"),
        ("413 Payload Too Large", {"error": {"type": "request_too_large", "message": "too large"}}, "context_length"),
        ("400 Bad Request", {"error": {"message": "filtered", "code": "content_filter"}}, "content_filter"),
        ("500 Internal Server Error", {"error": {"message": "oops", "type": "server_error"}}, "overloaded"),
        ("502 Bad Gateway", b"<html><body>nginx</body></html>", "overloaded"),
        ("503 Service Unavailable", b"", "overloaded"),
        ("529 Overloaded", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
        ("504 Gateway Timeout", b"", "timeout"),
        ("408 Request Timeout", b"", "timeout"),
        ("400 Bad Request", b"plain words", "bad_request"),
        ("400 Bad Request", b'{"error": "words"}', "bad_request"),
        ("400 Bad Request", b'{"error": {"message": {"a": [1]}}}', "bad_request"),
        ("400 Bad Request", b"[]", "bad_request"),
        ("301 Moved Permanently", b"", "bad_request"),
    ],
)  # fmt: skip
async def test_a_status_has_its_kind(type: str, streaming: bool, status: str, body: Any, kind: str) -> None:
    error = await failing(type, whole(body, status), streaming=streaming)
    assert error.kind == kind
    assert error.status == int(status[:3])
    assert status[:3] in error.message or "redirects" in error.message


@TYPES
async def test_what_the_server_says_is_told_on_one_line_and_cut(type: str) -> None:
    said = "Line one.\n\x1b[31mLine\ttwo.\x00 " + "x" * 5000
    error = await failing(type, whole({"error": {"message": said}}, "400 Bad Request"))
    assert "Line one. [31mLine two. xxx" in error.message
    assert len(error.message) < 400
    assert error.message.isprintable()


@TYPES
async def test_a_web_page_is_named_and_not_quoted(type: str) -> None:
    error = await failing(type, whole(b"<!DOCTYPE html><p>secret sauce", "503 Busy", "text/html"))
    assert error.message.endswith("an HTML page instead of JSON")


@TYPES
@STREAMING
@pytest.mark.parametrize("status", ["400 Bad Request", "200 OK"])
async def test_a_key_that_is_echoed_back_is_not_told(type: str, streaming: bool, status: str) -> None:
    said = f"bad key {'y' * 280} {KEY} in Authorization: Bearer {KEY}"
    error = await failing(type, whole({"error": {"message": said}}, status), streaming=streaming)
    assert "[secret]" in error.message
    assert KEY[:12] not in error.message


@TYPES
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (("Retry-After: 7",), 7.0),
        (("Retry-After: 0.5",), 0.5),
        (("Retry-After: " + formatdate(1_700_000_030.0, usegmt=True),), 30.0),
        (("Retry-After: " + formatdate(1_600_000_000.0, usegmt=True),), 0.0),
        (("retry-after-ms: 250", "Retry-After: 1"), 0.25),
        (("Retry-After: soon",), None),
        (("Retry-After: -3",), None),
        (("Retry-After: inf",), None),
        (("Retry-After: nan",), None),
        ((), None),
    ],
)
async def test_how_long_to_wait_is_read(type: str, headers: tuple[str, ...], seconds: float | None) -> None:
    answer = whole({"error": {"message": "slow"}}, "429 Too Many Requests", "application/json", *headers)
    assert (await failing(type, answer)).retry_after_s == seconds


@TYPES
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("Rate limit reached for x on tokens per min (TPM): Limit 30000. Please try again in 1m26.4s. Visit …", 86.4),
        ("Please try again in 6ms.", 0.006),
        ("Please retry after 20 seconds.", 20.0),
        ("Please wait 3000 seconds before retrying.", 3000.0),
        ("Please retry in 1h2m3.5s", 3723.5),
        ("Please try again later", None),
        ("Retry 3 times", None),
        ("Try again in 2 days", None),
        ("Try again in 99999999999999999s", None),
    ],
)
async def test_how_long_to_wait_is_read_from_the_words_as_well(type: str, said: str, seconds: float | None) -> None:
    body = {"error": {"message": said}}
    assert (await failing(type, whole(body, "429 Too Many Requests"))).retry_after_s == seconds
    answer = whole(body, "429 Too Many Requests", "application/json", "Retry-After: 7")
    assert (await failing(type, answer)).retry_after_s == 7.0


async def test_how_long_to_wait_is_read_from_googles_field() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}
    error = {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED", "details": [{}, info]}
    assert (await failing("openai", whole([{"error": error}], "429 Too Many Requests"))).retry_after_s == 12.5  # type: ignore[arg-type]


@TYPES
@STREAMING
@pytest.mark.parametrize(
    "body", [b"", b"hello", b"[]", b"null", b"{", b"\xff\xfe", b'{"a": 1}', b'{"choices": [], "content": []}',
             b'{"choices": [null], "content": [null]}', b'{"choices": 7, "content": 7}',
             b'{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}], "content": {"text": "x"}, "stop_reason": "end_turn"}',
             b"[" * 100_000]
)  # fmt: skip
async def test_garbage_is_no_answer(type: str, streaming: bool, body: bytes) -> None:
    assert (await failing(type, whole(body), streaming=streaming)).kind == "bad_response"


@TYPES
@pytest.mark.parametrize(
    "stream",
    [b"", b"hello\n\n", b"data: {\n\n", b"data: []\n\n", b"data: [DONE]\n\n", b": ping\n\n", b"\xff" * 100,
     b'data: {"type": "content_block_delta", "index": 3, "delta": {}}\n\n', b'data: {"choices": [7]}\n\n',
     b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": 3}]}}]}\n\n'],
)  # fmt: skip
async def test_a_stream_of_garbage_is_no_answer(type: str, stream: bytes) -> None:
    assert (await failing(type, streamed(stream, "end"), streaming=True)).kind == "bad_response"


@TYPES
async def test_a_web_page_in_place_of_a_stream_is_no_answer(type: str) -> None:
    error = await failing(type, whole(b"<html>log in</html>", "200 OK", "text/html"), streaming=True)
    assert error.kind == "bad_response"
    assert "HTML page" in error.message


@TYPES
@pytest.mark.parametrize("ending", ["end", "reset", None], ids=["ended", "reset", "hung up"])
async def test_half_a_stream_is_never_a_clean_stop(type: str, ending: Any) -> None:
    """Cut at every byte before the stream has said that it is finished."""
    stream = TEXT[type]
    finished = stream.index(FINISHED[type]) + len(FINISHED[type])
    step = 1 if ending == "end" else 37
    cuts = [stream[:position] for position in range(0, finished, step)]
    answers = [streamed(cut, *([ending] if ending else [])) for cut in cuts]
    async with Playback(*answers) as server, asking(type, server.url) as model:
        for cut in cuts:
            listener = Listener()
            with pytest.raises(ModelError) as raised:
                await model.answer(listener.to(HELLO))
            # A connection reset before the first byte was read may look like one that gave no answer.
            assert raised.value.kind == "bad_response" or (ending == "reset" and raised.value.kind == "unreachable"), (
                cut
            )
            assert "Grüß dich, 🌍!".startswith(listener.text)


@TYPES
async def test_a_whole_answer_that_breaks_off_is_none(type: str) -> None:
    (answer,) = GOOD[type]
    assert isinstance(answer, bytes)
    endings: list[list[Piece]] = [[], ["reset"]]
    for ending in endings:
        error = await failing(type, [answer[:-5].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1), *ending])
        assert error.kind in ("bad_response", "unreachable")
        assert error.transient


@TYPES
@STREAMING
async def test_a_connection_closed_without_an_answer_is_unreachable(type: str, streaming: bool) -> None:
    assert (await failing(type, [], streaming=streaming)).kind == "unreachable"
    assert (await failing(type, ["reset"], streaming=streaming)).kind == "unreachable"


@TYPES
@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded"),
        ({"type": "rate_limit_error", "message": "slow"}, "rate_limited"),
        ({"type": "api_error", "message": "Internal server error"}, "overloaded"),
        ({"type": "authentication_error", "message": "key"}, "authentication"),
        ({"type": "invalid_request_error", "message": "prompt is too long"}, "context_length"),
        ({"type": "invalid_request_error", "message": "no"}, "bad_request"),
        ({"type": "timeout_error", "message": "slow"}, "timeout"),
        ({"message": "slow down", "code": 429}, "rate_limited"),
        ({"message": "oops", "code": "503"}, "overloaded"),
        ({"message": "what"}, "bad_response"),
        ("words", "bad_response"),
    ],
)
async def test_an_error_within_a_stream_has_its_kind(type: str, told: Any, kind: str) -> None:
    stream = TEXT[type]
    middle = stream.index(b"data", len(stream) // 2)
    middle = stream.rindex(b"\n\n", 0, middle) + 2
    error = await failing(
        type, streamed(stream[:middle], events({"type": "error", "error": told}), "end"), streaming=True
    )
    assert error.kind == kind


@TYPES
@STREAMING
async def test_an_answer_without_end_is_bounded(type: str, streaming: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1_000_000)
    piece = b'data: {"type": "ping", "choices": []}\n\n' * 1000 if streaming else b" " * 40_000
    error = await failing(
        type,
        streamed(*[piece] * 60, "hang", type="text/event-stream" if streaming else "application/json"),
        streaming=streaming,
    )
    assert error.kind == "bad_response"
    assert "longer than" in error.message


@TYPES
@STREAMING
async def test_an_answer_of_too_many_parts_is_refused_unread(type: str, streaming: bool) -> None:
    many = json.dumps({"choices": [{"index": 0, "message": {"content": "x"}}] * 300_000}).encode()
    answer = streamed(b"data: " + many.replace(b", {", b",\ndata: {", 1) + b"\n\n") if streaming else whole(many)
    error = await failing(type, answer, streaming=streaming)
    assert error.kind == "bad_response"
    assert "it has more than 250,000 objects and lists" in error.message


@TYPES
async def test_a_small_answer_that_unpacks_to_a_huge_one_is_bounded(type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1_000_000)
    bomb = gzip.compress(b" " * 20_000_000)
    error = await failing(type, whole(bomb, "200 OK", "application/json", "Content-Encoding: gzip"))
    assert error.kind == "bad_response"


@TYPES
async def test_an_answer_that_does_not_unpack_is_none(type: str) -> None:
    error = await failing(type, whole(b"not gzip", "200 OK", "application/json", "Content-Encoding: gzip"))
    assert error.kind == "bad_response"


@TYPES
async def test_what_is_not_http_is_no_answer(type: str) -> None:
    for garbage in (b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nA\x00: b\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"):
        error = await failing(type, [garbage + b"\r\n\r\n"])
        assert error.kind == "bad_response"


@TYPES
async def test_a_long_error_is_read_only_at_its_beginning(type: str) -> None:
    error = await failing(type, [*whole(b"x" * 10_000_000, "500 Internal Server Error"), "hang"])
    assert error.kind == "overloaded"
    assert len(error.message) < 500


@TYPES
@STREAMING
async def test_a_server_that_never_answers_times_out(type: str, streaming: bool) -> None:
    error = await failing(type, ["hang"], streaming=streaming, timeout_seconds=0.05)
    assert error.kind == "timeout"
    assert "within 0.05 s" in error.message


@TYPES
async def test_a_stream_that_falls_silent_times_out(type: str) -> None:
    half = TEXT[type][:200]
    error = await failing(type, streamed(half, "hang"), streaming=True, chunk_timeout_seconds=0.05)
    assert error.kind == "timeout"
    assert "for 0.05 s" in error.message


@TYPES
async def test_nobody_listening_is_unreachable(type: str) -> None:
    with socket.socket() as held:  # bound, but not listening
        held.bind(("127.0.0.1", 0))
        error = await failing_at(type, f"http://127.0.0.1:{held.getsockname()[1]}")
    assert error.kind == "unreachable"
    assert "refused" in error.message


@TYPES
async def test_a_host_that_does_not_exist_is_unreachable(type: str) -> None:
    error = await failing_at(type, "http://no-such-host.invalid")
    assert error.kind == "unreachable"
    assert "the host no-such-host.invalid was not found" in error.message


@TYPES
async def test_a_certificate_that_nobody_vouches_for_is_unreachable(type: str, tmp_path: Path) -> None:
    pem = tmp_path / "self.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*made, "-keyout", str(pem), "-out", str(tmp_path / "crt")], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    pem.write_bytes(pem.read_bytes() + (tmp_path / "crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    async with server:
        error = await failing_at(type, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert error.kind == "unreachable"
    assert "TLS" in error.message


@TYPES
async def test_tls_spoken_to_a_server_that_has_none_is_unreachable(type: str) -> None:
    async with Playback([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as server:
        error = await failing_at(type, server.url.replace("http:", "https:"), connect_timeout_seconds=0.2)
    assert error.kind in ("unreachable", "timeout")


@TYPES
@STREAMING
async def test_cancelling_hangs_up(type: str, streaming: bool) -> None:
    began = asyncio.Event()

    async def emit(delta: object) -> None:
        began.set()

    turn = HELLO.replace(streaming=streaming, emit=emit)
    answer: Answer = streamed(TEXT[type][:-200], "hang") if streaming else ["hang"]
    async with Playback(answer) as server, asking(type, server.url) as model:
        task = asyncio.create_task(model.answer(turn))
        async with asyncio.timeout(5):
            if streaming:
                await began.wait()
            await server.was_asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.hung_up.wait()


@TYPES
async def test_a_listener_that_fails_hangs_up_and_its_error_is_its_own(type: str) -> None:
    async def emit(delta: object) -> None:
        raise BrokenPipeError("the reader has gone")

    async with Playback(streamed(TEXT[type][:-200], "hang")) as server, asking(type, server.url) as model:
        with pytest.raises(BrokenPipeError):
            await model.answer(HELLO.replace(streaming=True, emit=emit))
        async with asyncio.timeout(5):
            await server.hung_up.wait()


@TYPES
async def test_the_next_turn_finds_the_connection_again(type: str) -> None:
    stream = streamed(TEXT[type], "end")
    async with Playback(GOOD[type], stream, GOOD[type]) as server, asking(type, server.url) as model:
        for turn in (HELLO, Listener().to(HELLO), HELLO):
            await model.answer(turn)
        assert server.connections == 1


@TYPES
async def test_a_stream_whose_connection_stays_open_after_its_end_is_whole(type: str) -> None:
    async with Playback(streamed(TEXT[type], "hang")) as server, asking(type, server.url) as model:
        listener = Listener()
        reply = await model.answer(listener.to(HELLO))
        assert reply.message.text() == listener.text == "Grüß dich, 🌍!"


@TYPES
async def test_an_error_leaves_the_model_usable(type: str) -> None:
    refusal = whole({"error": {"message": "slow"}}, "429 Too Many Requests")
    async with Playback(refusal, GOOD[type]) as server, asking(type, server.url) as model:
        with pytest.raises(ModelError):
            await model.answer(HELLO)
        assert (await model.answer(HELLO)).message.text() == "Hi."


@TYPES
@pytest.mark.parametrize(
    ("key", "why"),
    [("", "is empty"), (" \n", "is empty"), ("a\nb", "not allowed in a header"), ("ключ", "not allowed in a header")],
)
async def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(
    type: str, key: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.components.models.asking.KEY", key)
    with pytest.raises(ModelError, match=why) as raised:
        async with asking(type, "http://127.0.0.1:1"):
            pass
    assert raised.value.kind == "authentication"
    assert not key.strip() or key not in str(raised.value)


@TYPES
async def test_a_missing_key_is_missed_when_the_model_is_opened(type: str) -> None:
    from victor_dsl.language.config import Secret

    with pytest.raises(SecretError):
        async with asking(type, "http://127.0.0.1:1", api_key=Secret("env", "OTHER")):
            pass


@pytest.mark.parametrize(
    ("told", "counted", "window"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            9000,
            8192,
        ),
        (
            "maximum context length is 8192 tokens. However, you requested 9,100 tokens (7900 in the messages, 200 in the functions, and 1000 in the completion).",
            8100,
            8192,
        ),
        (
            "maximum context length is 131072 tokens. However, you requested about 140000 tokens (139000 of text input, 1000 in the output).",
            139000,
            131072,
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages.",
            5000,
            4096,
        ),
        (
            "This model's maximum context length is 4096 tokens and your request has 3500 input tokens (1000 > 4096 - 3500)",
            3500,
            4096,
        ),
        (
            "You passed 4097 input tokens and requested 1 output tokens. However, the model's context length is only 4096 tokens.",
            4097,
            4096,
        ),
        ("prompt is too long: 208310 tokens > 200000 maximum", 208310, 200000),
        ("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", 190000, 200000),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            1200000,
            1048576,
        ),
        ("The maximum context length is 2048 tokens.", None, 2048),
        ("The context length is exceeded, by far.", None, None),
        (f"prompt is too long: {'9' * 40} tokens > 200000 maximum", None, 200000),
    ],
)
async def test_what_a_server_counted_and_takes_is_read_from_its_refusal(
    told: str, counted: int | None, window: int | None
) -> None:
    body = {"error": {"message": told, "type": "invalid_request_error"}}
    error = await failing("openai", whole(body, "400 Bad Request"))
    assert (error.kind, error.counted, error.window) == ("context_length", counted, window)


@pytest.mark.parametrize(("count", "read"), [(2000, 2000), ("2000", None), (-1, None), (True, None)])
async def test_llama_cpp_says_what_it_counted_in_fields(count: Any, read: int | None) -> None:
    told = {
        "code": 400,
        "message": "the request exceeds the available context size",
        "n_prompt_tokens": count,
        "n_ctx": 1024,
    }
    error = await failing("openai", whole({"error": told}, "400 Bad Request"))
    assert (error.kind, error.counted, error.window) == ("context_length", read, 1024)


@TYPES
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ending", [[], ["reset"]], ids=["closed", "reset"])
async def test_a_connection_that_the_server_closed_while_it_was_idle_is_replaced(
    type: str, streaming: bool, ending: list[Piece]
) -> None:
    good = streamed(TEXT[type], "end") if streaming else GOOD[type]
    turn = HELLO.replace(streaming=streaming, emit=Listener().emit)
    async with Playback(good, ending, good) as server, asking(type, server.url) as model:
        for _ in range(2):
            assert (await model.answer(turn)).message.text()
        assert len(server.asked) == 3
        assert server.connections == 2


@TYPES
async def test_a_new_connection_that_breaks_is_not_asked_again(type: str) -> None:
    async with Playback(["reset"], GOOD[type]) as server, asking(type, server.url) as model:
        with pytest.raises(ModelError) as raised:
            await model.answer(HELLO)
        assert raised.value.kind == "unreachable"
        assert len(server.asked) == 1


ODD = pytest.mark.parametrize(
    "odd",
    [b"9" * 400, b'"\\ud800"', b"[" * 400 + b"]" * 400, b"[" * 980 + b"]" * 980],
    ids=["large", "half a pair", "deep", "too deep"],
)
"""Values that JSON allows and few writers of JSON write."""


@TYPES
@STREAMING
@ODD
async def test_an_error_object_may_have_any_json_in_it(type: str, streaming: bool, odd: bytes) -> None:
    body = b'{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "x": %s}' % odd
    answer = streamed(b"data: " + body + b"\n\n", "end") if streaming else whole(body)
    assert "busy" in (await failing(type, answer, streaming=streaming)).message


@TYPES
@ODD
async def test_arguments_of_a_call_that_come_as_an_object_may_have_any_json_in_them(type: str, odd: bytes) -> None:
    function = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "ODD"}}}
    answers: dict[str, Any] = {
        "openai": openai_whole({"content": None, "tool_calls": [function]}, "tool_calls"),
        "responses": response([{**called("weather", "", "c1"), "arguments": {"city": "ODD"}}]),
        "anthropic": anthropic_whole(
            [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "ODD"}}], "tool_use"
        ),
    }
    body = json.dumps(answers[type]).encode().replace(b'"ODD"', odd)
    async with Playback(whole(body)) as server, asking(type, server.url) as model:
        try:
            (call,) = (await model.answer(HELLO)).message.tool_calls
            ended = call.arguments
        except ModelError as error:
            ended = error.message
    too_deep = odd.startswith(b"[" * 900)
    assert "it nests too deeply" in ended if too_deep else json.loads(ended)["city"] in (json.loads(odd), "\ufffd")


@TYPES
async def test_an_answer_that_no_store_could_read_again_is_a_bad_response(type: str) -> None:
    deep = {"type": "x", "deep": "ODD"}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": deep}
    answers: dict[str, Any] = {
        "openai": openai_whole({"content": None, "tool_calls": [call]}, "tool_calls"),
        "responses": response([{**reasoned(), "more": deep}, spoken("Hi.")]),
        "anthropic": anthropic_whole(
            [
                {"type": "thinking", "thinking": "", "signature": "s", "more": deep},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
            ],
            "tool_use",
        ),
    }
    for levels, sound in ((100, True), (190, False)):
        body = json.dumps(answers[type]).encode().replace(b'"ODD"', b"[" * levels + b"]" * levels)
        if sound:
            async with Playback(whole(body)) as server, asking(type, server.url) as model:
                read_history([messages_to_text([(await model.answer(HELLO)).message])], "s1", node="store", hint="")
        else:
            assert "it nests more than 180 levels deep" in (await failing(type, whole(body))).message
