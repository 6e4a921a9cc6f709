"""The app of the page about web apps, under a real uvicorn with two workers, driven by a real client."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.models.playback import Playback, events, streamed
from tests.components.models.recorded import openai_chunk
from tests.docs.blocks import blocks

pytest.importorskip("fastapi", reason="fastapi is not installed: `./dev test` does it")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: `./dev test` does it")
httpx = pytest.importorskip("httpx", reason="httpx is not installed: `./dev test` does it")

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "web-app.md"
QUESTION = {"message": "three little words", "session": "s1"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    for block in blocks(PAGE):
        if block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    return tmp_path


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of the app with two workers, which end by SIGTERM, and write nothing wrong."""
    log = folder / "uvicorn.log"
    with socket.socket() as listening, log.open("w") as output:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        listening.close()
        options = ["--port", str(port), "--workers", "2", "--timeout-graceful-shutdown", "30"]
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:app", *options],
            cwd=folder,
            env=os.environ | {"KEY": "k"},
            stdout=output,
            stderr=output,
        )
    try:
        while log.read_text().count("Application startup complete") < 2:
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) in (0, -signal.SIGTERM), log.read_text()
        assert "Traceback" not in log.read_text(), log.read_text()


def turns(folder: Path) -> list[Any]:
    """The stop reasons of the turns that were recorded."""
    database = sqlite3.connect(folder / "support.db")
    try:
        rows = database.execute("SELECT event_data FROM analytics_events WHERE event_type = 'turn' ORDER BY timestamp")
        return [json.loads(data)["stop_reason"] for (data,) in rows]
    finally:
        database.close()


def sent_events(text: str) -> list[tuple[str, Any]]:
    return [(name, json.loads(data)) for name, data in re.findall(r"event: (\w+)\ndata: (.*)\n\n", text)]


def test_two_workers_chat_and_stream_within_one_session(folder: Path) -> None:
    with serving(folder) as url:
        reply: dict[str, Any] = {}
        for i in range(10):  # each on a connection of its own, so that both workers have some
            response = httpx.post(f"{url}/chat", json=QUESTION | {"message": f"message {i}"}, timeout=60)
            reply = response.json()
            assert (response.status_code, reply["reply"], reply["error"]) == (200, f"message {i}", None)
        response = httpx.post(f"{url}/stream", json=QUESTION, timeout=60)
        assert response.headers["content-type"].startswith("text/event-stream")
        *pieces, (last, whole) = sent_events(response.text)
        assert [name for name, _ in pieces] == ["text"] * 3
        assert "".join(text for _, text in pieces) == whole["reply"] == "three little words"
        assert last == "reply"
        assert whole.keys() == reply.keys()
    assert turns(folder) == ["stop"] * 11


def test_an_error_is_a_status_before_the_first_piece_and_an_event_after_it(folder: Path) -> None:
    key = {"Authorization": "Bearer vk_wrong"}
    (folder / "keys.yml").write_text(
        f"keys:\n  - {{key_hash: 'sha256:{'0' * 64}', tenant_id: acme, user_id: ann}}\n", encoding="utf-8"
    )
    (folder / "keys.yml").chmod(0o600)
    with (folder / "victor.yml").open("a", encoding="utf-8") as spec:
        spec.write("middleware:\n  - {type: auth, keys: keys.yml}\n")
    with serving(folder) as url:
        for path in ("/chat", "/stream"):
            response = httpx.post(f"{url}{path}", json=QUESTION, headers=key, timeout=60)
            assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthenticated")
    assert turns(folder) == ["error", "error"]


def model(folder: Path, url: str) -> None:
    """Puts a model behind a server into the spec."""
    spec = folder / "victor.yml"
    main = f"main: {{type: openai, model: m, base_url: '{url}/v1', api_key: '${{env:KEY}}', context_window: 32000}}"
    text = re.sub(r"main: \{type: echo.*\}", main, spec.read_text(encoding="utf-8"))
    assert main in text
    spec.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("path", "begun"), [("/chat", None), ("/stream", None), ("/stream", "Once ")])
async def test_a_client_that_goes_away_cancels_its_turn(folder: Path, path: str, begun: str | None) -> None:
    """Also before the first piece, when there is no response yet whose sending could fail."""
    pieces = [] if begun is None else [openai_chunk({"content": begun})]
    async with Playback(streamed(events(*pieces), "hang")) as server:
        model(folder, server.url)
        loop = asyncio.get_running_loop()

        def wait_for(event: asyncio.Event) -> None:
            assert asyncio.run_coroutine_threadsafe(event.wait(), loop).result(60)

        def cut() -> None:
            with (
                serving(folder) as url,
                socket.create_connection((url[7:].split(":")[0], int(url.split(":")[-1]))) as client,
            ):
                body = json.dumps(QUESTION).encode()
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                if path == "/stream" and begun is not None:
                    heard = b""
                    while b"event: text" not in heard:
                        heard += client.recv(4096)
                wait_for(server.was_asked)
                client.close()
                wait_for(server.hung_up)

        await asyncio.to_thread(cut)
    assert turns(folder) == ["cancelled"]


async def test_a_stream_that_breaks_off_ends_with_an_error_event(folder: Path) -> None:
    async with Playback(streamed(events(openai_chunk({"content": "Once "})), "reset")) as server:
        model(folder, server.url)

        def read() -> list[tuple[str, Any]]:
            with serving(folder) as url:
                return sent_events(httpx.post(f"{url}/stream", json=QUESTION, timeout=60).text)

        heard = await asyncio.to_thread(read)
    assert heard[0] == ("text", "Once ")
    assert heard[-1][0] == "error"
    assert heard[-1][1]["code"].startswith("model-")
