"""One way of calling a chat model, measured in a process of its own; `bench.gateways` runs this in each peer's environment.

    python bench/gateway_clients.py openai http://127.0.0.1:8080/v1 --connections 16 --calls 500

Prints one JSON object: the CPU time of a call in microseconds, and the version of the package that made it. Only the
standard library is imported here; each client imports what it is about.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Call = Callable[[], Awaitable[str]]
Client = Callable[[str], Any]
"""An async context manager of a call; it takes the server's base URL."""

MODEL = "gpt-4o-mini"
SYSTEM = "You are a helpful assistant."
QUESTION = "Say hello to the world in one sentence."
MESSAGES: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
BODY = {"model": MODEL, "messages": MESSAGES, "temperature": 0.0}
REPLY_BEGINS = "All is well."
WARM_CALLS = 50
WRITTEN_S = 0.3
"""How long after the last call everything behind the calls is written; waiting costs no CPU, writing does and belongs to them."""

os.environ |= {  # no client may look for anything outside this machine
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "none",
}


@asynccontextmanager
async def raw(base: str) -> AsyncIterator[Call]:
    """The floor: a protocol of asyncio that writes a request and parses the reply's JSON."""
    address = urlsplit(base)
    host, port = address.hostname or "", address.port or 80
    body = json.dumps(BODY).encode()
    head = (
        f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer none\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    idle: list[_Connection] = []
    opened: list[_Connection] = []

    async def call() -> str:
        if idle:
            connection = idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(_Connection, host, port)
            opened.append(connection)
        reply = json.loads(await connection.ask(head.encode() + body))
        idle.append(connection)
        text: str = reply["choices"][0]["message"]["content"]
        return text

    yield call
    for connection in opened:
        connection.transport.close()


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.received = b""

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """The body of the reply to a request."""
        self.replied: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.replied

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length):
            self.received = b""
            self.replied.set_result(body)


@asynccontextmanager
async def aiohttp(base: str) -> AsyncIterator[Call]:
    """aiohttp alone: what an own client would be made of."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def call() -> str:
            headers = {"Authorization": "Bearer none"}
            async with session.post(f"{base}/chat/completions", json=BODY, headers=headers) as response:
                text: str = (await response.json())["choices"][0]["message"]["content"]
                return text

        yield call


@asynccontextmanager
async def openai(base: str) -> AsyncIterator[Call]:
    """OpenAI's own SDK."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as client:

        async def call() -> str:
            completion = await client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=0.0)
            return completion.choices[0].message.content or ""

        yield call


@asynccontextmanager
async def tensorzero(base: str) -> AsyncIterator[Call]:
    """TensorZero's gateway in this process, with an experiment of two arms, and nothing stored."""
    from tensorzero import AsyncTensorZeroGateway

    with tempfile.TemporaryDirectory() as folder:
        config = _write(folder, "tensorzero.toml", TENSORZERO.replace("BASE", f"{base}/").replace("MODEL", MODEL))
        async with await AsyncTensorZeroGateway.build_embedded(config_file=str(config), async_setup=True) as gateway:

            async def call() -> str:
                reply = await gateway.inference(
                    function_name="greet",
                    input={"system": SYSTEM, "messages": [{"role": "user", "content": QUESTION}]},
                    params={"chat_completion": {"temperature": 0.0}},
                )
                text: str = reply.content[0].text
                return text

            yield call


TENSORZERO = """
[gateway]
observability.enabled = false
[models.main]
routing = ["server"]
[models.main.providers.server]
type = "openai"
model_name = "MODEL"
api_base = "BASE"
[functions.greet]
type = "chat"
experimentation = {type = "static", candidate_variants = {"a" = 0.5, "b" = 0.5}}
[functions.greet.variants]
a = {type = "chat_completion", model = "main"}
b = {type = "chat_completion", model = "main"}
"""


@asynccontextmanager
async def litellm(base: str) -> AsyncIterator[Call]:
    """LiteLLM's function for one call."""
    import litellm

    litellm.telemetry = False

    async def call() -> str:
        reply = await litellm.acompletion(
            model=f"openai/{MODEL}", messages=MESSAGES, temperature=0.0, api_base=base, api_key="none", num_retries=0
        )
        text: str = reply.choices[0].message.content
        return text

    yield call


@asynccontextmanager
async def pydantic_ai(base: str) -> AsyncIterator[Call]:
    """An agent of Pydantic AI without tools."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=base, api_key="none"))
    agent = Agent(model, system_prompt=SYSTEM, model_settings={"temperature": 0.0})

    async def call() -> str:
        text: str = (await agent.run(QUESTION)).output
        return text

    yield call


@asynccontextmanager
async def langchain_openai(base: str) -> AsyncIterator[Call]:
    """LangChain's chat model."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model=MODEL, base_url=base, api_key="none", temperature=0.0, max_retries=0)

    async def call() -> str:
        text: str = (await model.ainvoke([("system", SYSTEM), ("human", QUESTION)])).content
        return text

    yield call


@asynccontextmanager
async def haystack(base: str) -> AsyncIterator[Call]:
    """A pipeline of Haystack: a prompt builder and a chat generator."""
    import haystack
    from haystack.components.builders import ChatPromptBuilder
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.utils import Secret

    template = [ChatMessage.from_system(SYSTEM), ChatMessage.from_user("Say {{ what }} to the world in one sentence.")]
    pipeline = getattr(haystack, "AsyncPipeline", haystack.Pipeline)()  # one class since 3.0
    pipeline.add_component("prompt", ChatPromptBuilder(template=template, required_variables=["what"]))
    settings = {"generation_kwargs": {"temperature": 0.0}, "max_retries": 0}
    generator = OpenAIChatGenerator(model=MODEL, api_base_url=base, api_key=Secret.from_token("none"), **settings)
    pipeline.add_component("model", generator)
    pipeline.connect("prompt.prompt", "model.messages")

    async def call() -> str:
        result = await pipeline.run_async({"prompt": {"what": "hello"}})
        text: str = result["model"]["replies"][0].text
        return text

    yield call


@asynccontextmanager
async def victor_min(base: str) -> AsyncIterator[Call]:
    """A bare call with an experiment of two arms, as TensorZero's."""
    from victor_dsl.values.message import Message

    async with _victor(VICTOR_MIN.replace("MODEL", _model(base)), (Message("user", QUESTION),)) as call:
        yield call


VICTOR_MIN = f"""
victor: 1
name: bare
models: {{main: MODEL}}
settings: {{temperature: 0.0}}
contributors: [{{type: text, text: {SYSTEM}}}]
variants: {{style: {{arms: {{a: {{weight: 1}}, b: {{weight: 1}}}}}}}}
sessions: memory
"""


@asynccontextmanager
async def victor_full(base: str) -> AsyncIterator[Call]:
    """The whole turn of `bench.turn`, with this model instead of `echo`."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from bench import turn

    with tempfile.TemporaryDirectory() as folder:
        spec = turn.write_spec(Path(folder)).read_text(encoding="utf-8")
        async with _victor(spec.replace(turn.MODEL, _model(base)), turn.history(), folder) as call:
            yield call


def _model(base: str) -> str:
    return f'{{type: openai, model: {MODEL}, base_url: "{base}", api_key: "${{env:KEY}}", context_window: 32768}}'


@asynccontextmanager
async def _victor(spec: str, messages: tuple[Any, ...], folder: str | None = None) -> AsyncIterator[Call]:
    """A call of a spec, for one of many sessions after the other."""
    import logging

    import victor_dsl

    logging.getLogger("victor_dsl").setLevel(logging.WARNING)
    async with AsyncExitStack() as stack:
        path = _write(folder or stack.enter_context(tempfile.TemporaryDirectory()), "victor.yml", spec)
        environment = {"KEY": "none", "SUPPORT_SEED": "7"}
        orchestrator = await stack.enter_async_context(victor_dsl.open(path, env=environment))
        numbers = count(1)

        async def call() -> str:
            number = next(numbers)
            answer = await orchestrator.answer(
                victor_dsl.Request(id=number, session=f"s{number % 64}", messages=messages)
            )
            if answer.error is not None:
                raise answer.error
            return answer.message.text()

        yield call


def _write(folder: str, name: str, text: str) -> Path:
    path = Path(folder, name)
    path.write_text(text, encoding="utf-8")
    return path


CLIENTS: dict[str, tuple[Client, str]] = {
    "asyncio": (raw, ""),
    "aiohttp": (aiohttp, "aiohttp"),
    "victor_min": (victor_min, "victor_dsl"),
    "tensorzero": (tensorzero, "tensorzero"),
    "victor_full": (victor_full, "victor_dsl"),
    "openai": (openai, "openai"),
    "langchain-openai": (langchain_openai, "langchain-openai"),
    "haystack-ai": (haystack, "haystack-ai"),
    "litellm": (litellm, "litellm"),
    "pydantic-ai": (pydantic_ai, "pydantic-ai-slim"),
}
"""Each client and the package whose version is reported."""


async def measure(client: Client, base: str, connections: int, calls: int) -> float:
    """The CPU time of one call in microseconds, user and system, with so many calls at a time."""
    async with client(base) as call:
        text = await call()
        if not text.startswith(REPLY_BEGINS):
            raise SystemExit(f"not the server's reply: {text[:80]!r}")
        for _ in range(WARM_CALLS):
            await call()
        await asyncio.gather(*(call() for _ in range(connections)))
        await asyncio.sleep(WRITTEN_S)
        left = iter(range(calls))

        async def work() -> None:
            for _ in left:
                await call()

        before = _cpu_s()
        await asyncio.gather(*(work() for _ in range(connections)))
        await asyncio.sleep(WRITTEN_S)
        return (_cpu_s() - before) / calls * 1e6


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measures one client."""
    parser = argparse.ArgumentParser(prog="bench/gateway_clients.py")
    parser.add_argument("client", choices=list(CLIENTS))
    parser.add_argument("base", help="the server's URL, up to /v1")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--calls", type=int, default=500)
    options = parser.parse_args()
    client, package = CLIENTS[options.client]
    cpu_us = asyncio.run(measure(client, options.base, options.connections, options.calls))
    print(json.dumps({"cpu_us": cpu_us, "version": version(package) if package else ""}), flush=True)
    os._exit(0)  # some clients leave threads behind that never end


if __name__ == "__main__":
    main()
