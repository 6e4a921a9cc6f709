"""The embeddings API, asked of a server: what is sent, what is understood, what is tried again, how failures are told."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.components.context import Surroundings, surroundings
from tests.components.models.playback import Answer, Playback, whole
from victor_dsl.components.embedders import openai
from victor_dsl.errors import ModelError, SecretError
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import Embedder

KEY = "sk-very-secret-1234567890"
TOO_MANY = {"error": {"message": "slow down", "type": "rate_limit_error"}}


def vectors(*rows: Sequence[float]) -> Answer:
    return whole({"object": "list", "data": [{"index": n, "embedding": list(row)} for n, row in enumerate(rows)]})


@asynccontextmanager
async def asking(
    url: str, folder: Path = Path("/nowhere"), around: Surroundings | None = None, **fields: Any
) -> AsyncIterator[Embedder]:
    """An open embedder at that address; without a folder it keeps nothing on disk."""
    written = {"model": "m", "base_url": f"{url}/v1", "api_key": Secret("env", "KEY"), "cache_entries": 0, **fields}
    around = around or surroundings(folder, "embedders/main", environment={"KEY": KEY})
    async with openai.build(openai.Config.model_validate(written), around.context) as embedder:
        yield embedder


async def failing(*answers: Answer, **fields: Any) -> ModelError:
    async with Playback(*answers) as server, asking(server.url, **fields) as embedder:
        with pytest.raises(ModelError) as raised:
            await embedder.embed(["one", "two"])
    assert raised.value.node == "embedders/main"
    assert KEY not in str(raised.value)
    return raised.value


async def test_texts_go_in_one_request_and_come_back_as_unit_rows() -> None:
    async with Playback(vectors([3, 4], [0, 2])) as server, asking(server.url, dimensions=2) as embedder:
        rows = await embedder.embed(["one", "", "two"])
    assert np.allclose(rows, np.array([[0.6, 0.8], [0, 0], [0, 1]]))
    (asked,) = server.asked
    assert asked.path == "/v1/embeddings"
    assert asked.body == {"model": "m", "input": ["one", "two"], "dimensions": 2}
    assert asked.headers["authorization"] == f"Bearer {KEY}"


async def test_headers_and_further_fields_are_sent() -> None:
    fields: dict[str, Any] = {
        "headers": {"X-Team": "search"},
        "extra_body": {"input_type": "query"},
        "api_key_header": "api-key",
    }
    async with Playback(vectors([1, 0])) as server, asking(server.url, **fields) as embedder:
        await embedder.embed(["one"])
    (asked,) = server.asked
    assert asked.body == {"model": "m", "input": ["one"], "input_type": "query"}
    assert asked.headers["x-team"] == "search"
    assert asked.headers["api-key"] == KEY


async def test_the_server_s_index_says_which_text_a_vector_is_of() -> None:
    data = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]
    async with Playback(whole({"data": data})) as server, asking(server.url) as embedder:
        assert np.array_equal(await embedder.embed(["one", "two"]), [[1, 0], [0, 1]])


async def test_without_an_index_the_order_says_it() -> None:
    data = [{"embedding": [1, 0]}, {"embedding": [0, 1]}]
    async with Playback(whole({"data": data})) as server, asking(server.url) as embedder:
        assert np.array_equal(await embedder.embed(["one", "two"]), [[1, 0], [0, 1]])


async def test_vectors_in_base64_are_read() -> None:
    packed = base64.b64encode(np.array([0, 5], dtype="<f4").tobytes()).decode()
    answer = whole({"data": [{"index": 0, "embedding": packed}]})
    async with Playback(answer) as server, asking(server.url) as embedder:
        assert np.array_equal(await embedder.embed(["one"]), [[0, 1]])


async def test_what_is_kept_on_disk_is_not_asked_for_and_the_key_is_not_in_the_file(tmp_path: Path) -> None:
    async with Playback(vectors([1, 0])) as server:
        for _ in range(2):
            async with asking(server.url, tmp_path, cache_entries=10) as embedder:
                await embedder.embed(["one"])
        assert len(server.asked) == 1
        async with asking(server.url, tmp_path, cache_entries=10, model="other") as embedder:
            await embedder.embed(["one"])
    assert len(server.asked) == 2
    assert KEY.encode() not in (tmp_path / ".victor" / "embeddings.db").read_bytes()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"data": [{"index": 0, "embedding": [1.0]}]}, "1 vectors for 2 texts"),
        ({"data": None}, "0 vectors for 2 texts"),
        ({"data": "two"}, "not a list"),
        ({"data": [1, 2]}, "not an object"),
        ({"data": [{"index": 0, "embedding": [1.0]}] * 2}, "`index`"),
        ({"data": [{"index": n, "embedding": [1.0]} for n in (1, 2)]}, "`index`"),
        ({"data": [{"index": True, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}, "`index`"),
        ({"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]}, "different lengths"),
        ({"data": [{"embedding": []}, {"embedding": []}]}, "empty vectors"),
        ({"data": [{"embedding": ["one"]}, {"embedding": [1.0]}]}, "list of numbers"),
        ({"data": [{"embedding": [[1.0]]}, {"embedding": [1.0]}]}, "list of numbers"),
        ({"data": [{"embedding": {}}, {"embedding": [1.0]}]}, "list of numbers"),
        ({"data": [{"embedding": None}, {"embedding": [1.0]}]}, "list of numbers"),
        ({"data": [{"embedding": "no base64!"}, {"embedding": [1.0]}]}, "list of numbers"),
        ({"data": [{"embedding": "YWJj"}, {"embedding": [1.0]}]}, "list of numbers"),
        ({"data": [{"embedding": [1e300]}, {"embedding": [1.0]}]}, "not finite"),
        ({"data": [{"embedding": "AADAfw=="}, {"embedding": [1.0]}]}, "not finite"),
        (b'{"data": [{"embedding": [NaN]}, {"embedding": [1.0]}]}', "not finite"),
        (b"<html>", "not a JSON object"),
        (b"", "an empty body"),
    ],
)
async def test_an_answer_of_another_shape_is_refused(answer: Any, told: str) -> None:
    error = await failing(whole(answer))
    assert error.kind == "bad_response"
    assert told in error.message


async def test_vectors_of_another_length_than_asked_for_are_refused() -> None:
    error = await failing(vectors([1, 0], [0, 1]), dimensions=3)
    assert "vectors of 2 numbers instead of 3" in error.message


async def test_a_wrong_key_is_told_at_once() -> None:
    answer = whole({"error": {"message": f"Incorrect API key {KEY}"}}, "401 Unauthorized")
    async with Playback(answer) as server, asking(server.url) as embedder:
        with pytest.raises(ModelError) as raised:
            await embedder.embed(["one"])
    assert raised.value.kind == "authentication"
    assert raised.value.hint == "check its `api_key`"
    assert KEY not in str(raised.value)
    assert len(server.asked) == 1


async def test_a_key_that_is_not_there_is_found_when_it_is_opened() -> None:
    with pytest.raises(SecretError):
        async with asking("http://127.0.0.1:1", api_key=Secret("env", "OTHER")):
            pass


@pytest.mark.parametrize(
    ("first", "waited"),
    [
        (whole(TOO_MANY, "429 Too Many Requests", "application/json", "Retry-After: 7"), (7, 7)),
        (whole(TOO_MANY, "429 Too Many Requests"), (0.25, 0.5)),
        (whole({}, "503 Service Unavailable", "application/json", "retry-after-ms: 1500"), (1.5, 1.5)),
        (["reset"], (0.25, 0.5)),
    ],
    ids=["as asked", "by itself", "in milliseconds", "connection lost"],
)
async def test_what_may_pass_is_tried_again(first: Answer, waited: tuple[float, float]) -> None:
    around = surroundings(Path("/nowhere"), "embedders/main", environment={"KEY": KEY})
    begun = around.clock.time
    async with Playback(first, vectors([1, 0])) as server, asking(server.url, around=around) as embedder:
        assert (await embedder.embed(["one"])).shape == (1, 2)
    assert waited[0] <= around.clock.time - begun <= waited[1]


async def test_it_gives_up_after_the_last_try() -> None:
    async with Playback(whole({}, "500 Oops")) as server, asking(server.url, retries=3) as embedder:
        with pytest.raises(ModelError) as raised:
            await embedder.embed(["one"])
    assert raised.value.kind == "overloaded"
    assert len(server.asked) == 4


async def test_a_server_that_wants_too_long_a_wait_is_not_waited_for() -> None:
    answer = whole(TOO_MANY, "429 Too Many Requests", "application/json", "Retry-After: 3600")
    async with Playback(answer) as server, asking(server.url) as embedder:
        with pytest.raises(ModelError) as raised:
            await embedder.embed(["one"])
    assert raised.value.retry_after_s == 3600
    assert len(server.asked) == 1


async def test_a_silent_server_is_waited_for_no_longer_than_told() -> None:
    error = await failing(["hang"], timeout_seconds=0.05, retries=0)
    assert error.kind == "timeout"


async def test_a_cancelled_turn_hangs_up() -> None:
    async with Playback(["hang"]) as server, asking(server.url) as embedder:
        turn = asyncio.create_task(embedder.embed(["one"]))
        await server.was_asked.wait()
        turn.cancel()
        await asyncio.wait([turn])
        await server.hung_up.wait()
    assert turn.cancelled()


async def test_many_texts_go_in_several_requests_but_no_more_at_once_than_told() -> None:
    running, most = 0, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        texts = json.loads(await reader.readexactly(length))["input"]
        running += 1
        most = max(most, running)
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1
        answer = vectors(*[[1, float(text)] for text in texts])
        head_bytes, _, body = b"".join(piece for piece in answer if isinstance(piece, bytes)).partition(b"\r\n\r\n")
        writer.write(head_bytes + b"\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asking(url, batch_size=2, concurrency=3) as embedder:
            rows = await embedder.embed([str(n) for n in range(20)])
    assert np.allclose(rows[:, 1] / rows[:, 0], range(20))
    assert 1 < most <= 3


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "needs an `api_key`"),
        ({"base_url": "http://user:word@host/v1"}, "user and password"),
        ({"base_url": "host"}, "is not an HTTP address"),
        ({"base_url": "http://h/v1", "headers": {"Authorization": "x"}}, "carries a key"),
        ({"base_url": "http://h/v1", "extra_body": {"input": "x"}}, "cannot set 'input'"),
        ({"base_url": "http://h/v1", "proxy": "h:1"}, "is not an HTTP address"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        openai.Config.model_validate({"model": "m", **fields})
