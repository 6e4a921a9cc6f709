"""`victor record`: what is wrong with its arguments, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.components.models.playback import Playback, whole
from tests.components.models.recorded import openai_whole
from tests.interfaces.conftest import Victor, in_a_process


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "t.jsonl"], "Missing option '--upstream'"),
        (["--upstream", "api.openai.com", "--output", "t.jsonl"], "--upstream must be a URL such as"),
        (["--upstream", "ftp://x", "--output", "t.jsonl"], "--upstream must be a URL such as"),
        (["--upstream", "https://:x", "--output", "t.jsonl"], "--upstream must be a URL such as"),
        (["--upstream", "https://u:p@x", "--output", "t.jsonl"], "--upstream must be without user, password"),
        (["--upstream", "https://x", "--output", "t.jsonl", "--port", "99999"], "Invalid value for '--port'"),
    ],
)
def test_wrong_usage_is_named(victor: Victor, arguments: list[str], message: str) -> None:
    done = victor("record", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not Path("t.jsonl").exists()


def test_a_file_that_cannot_be_written_is_named_before_it_listens(victor: Victor) -> None:
    done = victor("record", "--upstream", "https://x", "--output", "victor.yml/t.jsonl")
    assert (done.code, done.err) == (3, "error: cannot write 'victor.yml/t.jsonl': not a directory\n")


def test_a_file_of_other_text_is_left_alone(victor: Victor) -> None:
    before = Path("victor.yml").read_bytes()
    done = victor("record", "--upstream", "https://x", "--output", "victor.yml")
    message = "error: 'victor.yml' has other text than request lines; name another file\n"
    assert (done.code, done.err, Path("victor.yml").read_bytes()) == (3, message, before)


async def test_a_port_in_use_is_named(victor: Victor) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = in_a_process(
            "record", "--upstream", "https://x", "-o", "t.jsonl", "--port", str(port), cwd=Path.cwd(), stderr=-1
        )
        _, err = process.communicate()
    assert process.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port}".encode() in err


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_all_lines_written(folder: Path, end: signal.Signals) -> None:
    import asyncio

    async with Playback(whole(openai_whole({"content": "Hello!"}))) as server:
        process = in_a_process(
            "record", "--upstream", server.url, "--output", "t.jsonl", "--port", "0", cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        err = process.stderr
        printed = b"".join([await asyncio.to_thread(err.readline) for _ in range(3)]).decode()
        (url,) = re.findall(r"OPENAI_BASE_URL=(\S+)", printed)
        body = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
        request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())
        assert b"Hello!" in answer
        process.send_signal(end)
        out, rest = await asyncio.to_thread(process.communicate)
    assert (process.returncode, out, rest) == (0, b"", b"1 request recorded in t.jsonl\n")
    (line,) = [json.loads(line) for line in (folder / "t.jsonl").read_text().splitlines()]
    assert line["messages"] == [{"role": "user", "content": "Hi"}]
