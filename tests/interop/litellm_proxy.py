"""`victor run` against the LiteLLM proxy, a server that this project did not write: `python tests/interop/litellm_proxy.py`.

The proxy is installed from PyPI into an environment of its own (or taken from `--python`), and runs on loopback. Its own
mock answers stand for the models: a reply, a stream, a tool call and errors, each over OpenAI's and Anthropic's API; and a vector, which
the embedder `openai` asks for. The proxy's mocks stream no tool calls, have no Responses API, refuse no key and give one vector for any number of texts,
so for these a played-back upstream stands behind it; what reaches victor is still the proxy's own answer. One line is printed for each, and the exit code says whether all of them were right.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pty
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from attrs import frozen

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.components.context import surroundings  # noqa: E402
from tests.components.models.playback import Playback, streamed, whole  # noqa: E402
from tests.components.models.recorded import (  # noqa: E402
    OPENAI_TEXT,
    OPENAI_TOOLS,
    RESPONSES_TEXT,
    RESPONSES_TOOLS,
    reasoned,
    response,
    spoken,
)
from victor_dsl.components.embedders import openai  # noqa: E402
from victor_dsl.errors import ModelError  # noqa: E402
from victor_dsl.language.config import Secret  # noqa: E402

KEY = "sk-interop-1234"
REPLY = "Hello from the proxy, in a few words."
STARTING_S = 120
TOOL = """
from pathlib import Path

def weather(city: str) -> str:
    \"\"\"The weather of a city.\"\"\"
    with Path(__file__).with_name("called.txt").open("a") as called:
        called.write(city + "\\n")
    return "Rain."
"""
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
MOCKS: dict[str, dict[str, Any]] = {
    "reply": {"mock_response": REPLY},
    "tool": {"mock_response": "I look.", "mock_tool_calls": [CALL]},
    "limited": {"mock_response": "litellm.RateLimitError"},
    "too-long": {"mock_response": "litellm.ContextWindowExceededError"},
    "broken": {"mock_response": "litellm.InternalServerError"},
    "vector": {"mock_response": [3.0, 4.0]},
}
REFUSED = whole({"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}, "401 Unauthorized")
BUSY = whole({"error": {"message": "Too many requests"}}, "429 Too Many Requests")
VECTORS = whole(
    {
        "object": "list",
        "model": "played",
        "data": [{"object": "embedding", "index": n, "embedding": [float(n), 1.0]} for n in (2, 0, 1)],
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    }
)


# Each turn of the first asks twice: for the tool calls, and with their results.
PLAYED = {
    "streamed-tool": [streamed(OPENAI_TOOLS, "end"), streamed(OPENAI_TEXT, "end")] * 2,
    "responses": [whole(response([reasoned(), spoken(REPLY)]))],
    "responses-text": [streamed(RESPONSES_TEXT, "end")],
    "responses-tool": [streamed(RESPONSES_TOOLS, "end"), streamed(RESPONSES_TEXT, "end")],
    "refused": [REFUSED],
    "vectors": [VECTORS],
    "vectors-later": [BUSY, VECTORS],
}


@frozen
class Ran:
    """What a run of victor wrote, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> dict[str, Any]:
        """The one reply line."""
        line: dict[str, Any] = json.loads(self.out)
        return line

    @property
    def summary(self) -> str:
        """What matters of it, on one line."""
        if not self.out.startswith("{"):
            return " ".join((self.out or self.err).split())
        error = self.line["error"]
        if error is not None:
            return f"{error['code']}: {error['message']}"
        return f"{self.line['reply']} ({self.line['stop_reason']}, {self.line['usage']})"


class Interop:
    """Runs specs against the proxy, and says of each whether it went as it should."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self.failed = 0
        (folder / "interop_tools.py").write_text(TOOL)

    async def all(self) -> None:
        """Every case over the chat API and Anthropic's."""
        for type in ("openai", "anthropic"):
            ran = await self._run(type, "reply")
            self._say(type, "reply", ran.code == 0 and ran.line["reply"] == REPLY, ran)
            ran = await self._run(type, "reply", terminal=True)
            self._say(type, "stream", ran.code == 0 and REPLY in ran.out, ran)
            ran = await self._run(type, "tool", tools=True)
            right = ran.code == 0 and ran.line["stop_reason"] == "max_tool_rounds" and self._called() == ["Paris"]
            self._say(type, "tool call", right, ran)
            ran = await self._run(type, "streamed-tool", tools=True, terminal=True)
            right = ran.code == 0 and "Grüß dich, 🌍!" in ran.out and self._called() == ["Paris", "Rome"]
            self._say(type, "streamed tool calls", right, ran)
            for model, code in (
                ("limited", "model-rate_limited"),
                ("too-long", "model-context_length"),
                ("broken", "model-overloaded"),
                ("missing", "model-model_not_found"),
                ("refused", "model-authentication"),
            ):
                ran = await self._run(type, model)
                right = ran.code == 3 and ran.line["error"]["code"] == code and KEY not in ran.out + ran.err
                self._say(type, f"error, {model}", right, ran)
            ran = await self._run(type, "limited", fallbacks=True)
            self._say(type, "fallback", ran.code == 0 and ran.line["reply"] == REPLY, ran)

    async def responses(self) -> None:
        """The Responses API, which the proxy does not mock: each answer comes from a played-back upstream."""
        ran = await self._run("responses", "responses")
        self._say("responses", "reply", ran.code == 0 and ran.line["reply"] == REPLY, ran)
        ran = await self._run("responses", "responses-text", terminal=True)
        self._say("responses", "stream", ran.code == 0 and "Grüß dich, 🌍!" in ran.out, ran)
        ran = await self._run("responses", "responses-tool", tools=True, terminal=True)
        right = ran.code == 0 and "Grüß dich, 🌍!" in ran.out and self._called() == ["Paris", "Rome"]
        self._say("responses", "streamed tool calls", right, ran)
        for model, code in (("missing", "model-model_not_found"), ("refused", "model-authentication")):
            ran = await self._run("responses", model)
            right = ran.code == 3 and ran.line["error"]["code"] == code and KEY not in ran.out + ran.err
            self._say("responses", f"error, {model}", right, ran)

    async def embeddings(self) -> None:
        """The embedder `openai`: vectors in the order of the texts, a second try, and errors."""
        texts = ["a", "b", "c"]
        for model, given, wanted in (
            ("vector", texts[:1], "[[0.6, 0.8]]"),
            ("vectors", texts, "[[0.0, 1.0], [0.71, 0.71], [0.89, 0.45]]"),
            ("vectors-later", texts, "[[0.0, 1.0], [0.71, 0.71], [0.89, 0.45]]"),
            ("vector", texts, "bad_response"),
            ("refused", texts, "authentication"),
            ("missing", texts, "model_not_found"),
        ):
            ran = await self._embed(model, given)
            self._say("embedder", f"{model}, {len(given)}", ran.out.startswith(wanted) and KEY not in ran.out, ran)

    async def _embed(self, model: str, texts: list[str]) -> Ran:
        """The rows, rounded, or the kind of error and its message."""
        written = {
            "model": model,
            "base_url": f"http://127.0.0.1:{self._port}/v1",
            "api_key": Secret("env", "PROXY_KEY"),
        }
        around = surroundings(self._folder / model, "embedders/main", environment={"PROXY_KEY": KEY})
        try:
            async with openai.build(openai.Config.model_validate(written), around.context) as embedder:
                return Ran(0, str((await embedder.embed(texts)).astype(float).round(2).tolist()), "")
        except ModelError as error:
            return Ran(error.exit_code, f"{error.kind}: {error}", "")

    async def _run(
        self,
        type: str,
        model: str,
        *,
        tools: bool = False,
        terminal: bool = False,
        fallbacks: bool = False,
    ) -> Ran:
        (self._folder / "called.txt").unlink(missing_ok=True)
        base = f"http://127.0.0.1:{self._port}" + ("" if type == "anthropic" else "/v1")
        api = {"type": "openai", "api": "responses"} if type == "responses" else {"type": type}
        back_end: dict[str, Any] = {**api, "base_url": base, "api_key": "${env:PROXY_KEY}", "context_window": 32_768}
        back_end["stream"] = terminal  # the proxy's own mocks stream no tool calls
        # The proxy turns its own mocks into Anthropic's format only where they come from another server: itself.
        path = "again-" if type == "anthropic" and model not in PLAYED else ""
        spec: dict[str, Any] = {
            "victor": 1,
            "name": "interop",
            "models": {"main": {**back_end, "model": path + model}},
            "settings": {"model": "main", "max_tokens": 100, "max_tool_rounds": 1},
        }
        if fallbacks:
            spec["models"]["spare"] = {**back_end, "model": path + "reply"}
            spec["settings"]["fallbacks"] = ["spare"]
        if tools:
            spec["tools"] = [{"type": "python", "name": "weather", "function": "interop_tools:weather"}]
        file = self._folder / f"{type}-{model}.json"
        file.write_text(json.dumps(spec))
        command = [sys.executable, "-m", "victor_dsl", "run", str(file), "How is the weather?"]
        return await _victor(command if terminal else [*command, "--json"], terminal=terminal)

    def _called(self) -> list[str]:
        path = self._folder / "called.txt"
        return sorted(path.read_text().split()) if path.exists() else []

    def _say(self, type: str, what: str, right: bool, ran: Ran) -> None:
        self.failed += not right
        print(f"{'ok  ' if right else 'FAIL'} {type:9} {what:20} {ran.summary}", flush=True)  # noqa: T201
        if not right:
            print(f"     exit {ran.code}: {ran.out} {ran.err}", flush=True)  # noqa: T201


async def _victor(command: list[str], *, terminal: bool) -> Ran:
    """Runs victor; with a terminal its output goes to one, where replies are streamed."""
    environment = {**os.environ, "PROXY_KEY": KEY, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    ours, theirs = pty.openpty() if terminal else (None, subprocess.PIPE)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=environment
    )
    seen = asyncio.create_task(asyncio.to_thread(_seen, ours)) if ours is not None else None
    if seen is not None:
        os.close(theirs)
    out, err = await process.communicate()
    if seen is not None:
        out = await seen
    return Ran(process.returncode or 0, out.decode(), err.decode())


def _seen(terminal: int) -> bytes:
    """All that is written to the terminal, until its last writer has gone."""
    data = b""
    try:
        while piece := os.read(terminal, 65_536):
            data += piece
    except OSError:  # Linux says so that the other side has closed
        pass
    os.close(terminal)
    return data


@asynccontextmanager
async def proxy(python: str, folder: Path, upstreams: Mapping[str, str]) -> AsyncIterator[int]:
    """A running proxy; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    itself = {"api_base": f"http://127.0.0.1:{port}/v1", "api_key": KEY}
    models = []
    for name, mock in MOCKS.items():
        models.append({"model_name": name, "litellm_params": {"model": "openai/gpt-4.1-mini", "api_key": "-", **mock}})
        models.append({"model_name": f"again-{name}", "litellm_params": {"model": f"hosted_vllm/{name}", **itself}})
    for name, url in upstreams.items():
        played = {"model": "hosted_vllm/played", "api_base": f"{url}/v1", "api_key": "-"}
        models.append({"model_name": name, "litellm_params": played})
    config = folder / "proxy.json"
    told: dict[str, Any] = {
        "model_list": models,
        "litellm_settings": {"num_retries": 0},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": KEY},
    }
    config.write_text(json.dumps(told))
    log = (folder / "proxy.log").open("w+b")
    process = await asyncio.create_subprocess_exec(
        str(Path(python).with_name("litellm")), "--config", str(config), "--host", "127.0.0.1", "--port", str(port),
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"},
    )  # fmt: skip
    try:
        await _ready(port, process, folder / "proxy.log")
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        log.close()


async def _ready(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(STARTING_S), aiohttp.ClientSession() as session:
        while process.returncode is None:
            try:
                async with session.get(f"http://127.0.0.1:{port}/health/liveliness") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    raise SystemExit(f"the proxy did not start:\n{log.read_text()[-2000:]}")


def installed(folder: Path) -> str:
    """The Python of a new environment with the proxy in it."""
    python = folder / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-qq", "litellm[proxy]"], check=True)
    return str(python)


async def main(python: str | None) -> int:
    """Runs every case; 0 where all went as they should."""
    with tempfile.TemporaryDirectory(prefix="victor-interop-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            servers = {name: await stack.enter_async_context(Playback(*answers)) for name, answers in PLAYED.items()}
            upstreams = {name: server.url for name, server in servers.items()}
            port = await stack.enter_async_context(proxy(python or installed(folder), folder, upstreams))
            interop = Interop(folder, port)
            await interop.all()
            await interop.responses()
            await interop.embeddings()
    print(f"{interop.failed} failed" if interop.failed else "all as they should be")  # noqa: T201
    return 1 if interop.failed else 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--python", help="The Python of an environment that has litellm[proxy] already.")
    sys.exit(asyncio.run(main(arguments.parse_args().python)))
