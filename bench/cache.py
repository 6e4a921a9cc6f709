"""How much of each request a provider's prompt cache can read, and what that saves: `python -m bench.cache`.

A session runs against a server on loopback that speaks the chat API and records what it receives: 16 turns with 20 tools
(`cache_session.json`, or another file by `--session`). A request is read in the order in which providers cache it: tools, system
prompt, messages. "Repeated" is the share of a request's characters that begin it exactly as they began the request before; it is
the mean over all requests but the first, once with a model that only answers, and once with one that calls a tool in each turn (and
searches first, where tools are deferred). Nothing can repeat what is new, so the third column has the share of each request that the
next one repeats: 1 where nothing but new messages is added.

`--catalogues` grows the catalogue and prints what a session costs by a provider's prices of input, cached and not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any, Self

from aiohttp import web

from bench.measure import table
from bench.selection import catalogue
from victor_dsl.compiler import compile_spec
from victor_dsl.components.known_models import find_known_model
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request

Json = dict[str, Any]

SESSION = Path(__file__).with_name("cache_session.json")
SELECTIONS: Mapping[str, str] = {
    "k: 6": "tool_selection: {k: 6}",
    "k: 6, with an embedder": "tool_selection: {k: 6, embedder: words}",
    "semantic, k: 6": "tool_selection: {type: semantic, k: 6, embedder: words}",
    "deferred": "tool_selection: {type: deferred}",
    "all": "tool_selection: all",
    "no section": "",
}
SPEC = """\
victor: 1
name: cache
models:
  main: {{type: openai, base_url: "{url}", model: gpt-6-luna, api_key: "${{env:KEY}}"{window}}}
EMBEDDERS
contributors:
  - {{type: text, text: {system}}}
tools:
{tools}
{selection}
sessions: memory
"""
EMBEDDERS = "embedders:\n  words: {type: tfidf}"
ANSWER = "I have looked at that for you. All is as it should be, and you will get an email about it today."
PRICES: Sequence[str] = ("gpt-6-luna", "claude-sonnet-5-5")
CHARACTERS_PER_TOKEN = 4


def main() -> None:
    """Prints a table of shares, and with `--catalogues` one of costs."""
    parser = argparse.ArgumentParser(prog="python -m bench.cache", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--session", type=Path, default=SESSION, help="a file like cache_session.json")
    parser.add_argument("--turns", type=int, help="repeat the questions until there are so many")
    parser.add_argument("--window", type=int, help="the model's context window, so that the history is compacted")
    parser.add_argument("--only", nargs="+", choices=SELECTIONS, default=list(SELECTIONS))
    parser.add_argument("--catalogues", action="store_true", help="what sessions with larger catalogues cost")
    options = parser.parse_args()
    logging.getLogger("victor_dsl").setLevel(logging.ERROR)
    session = json.loads(options.session.read_text(encoding="utf-8"))
    session["window"] = options.window
    turns = session["turns"]
    turns = [turns[nth % len(turns)] for nth in range(options.turns or len(turns))]
    if options.catalogues:
        print(table(["tools", "selection", "tokens", "repeated", *PRICES], _costs(session, turns)))
        return
    rows = []
    for name in options.only:
        plain, calling = (asyncio.run(recorded(session, turns, SELECTIONS[name], calls=c)) for c in (False, True))
        figures = [f"{mean(shares(requests)):.3f}" for requests in (plain, calling)]
        figures += [f"{mean(shares(calling, of_before=True)):.3f}", f"{mean(map(_tokens, calling)):,.0f}"]
        rows.append([name, *figures])
    print(
        table([f"{len(turns)} turns", "repeated", "with calls of tools", "of the request before", "tokens, mean"], rows)
    )


async def recorded(session: Json, turns: Sequence[Json], selection: str, *, calls: bool) -> list[str]:
    """The requests of a session, each as the text that a provider's cache would compare."""
    server = _Server({turn["message"]: turn["tool"] for turn in turns} if calls else {})
    async with server:
        with tempfile.TemporaryDirectory() as folder:
            path = _write(Path(folder), server.url, session, selection)
            compilation = compile_spec(str(path), environment={"KEY": "k"})
            if compilation.program is None:
                raise SystemExit("\n".join(f"{d.span.line}: {d.message}" for d in compilation.diagnostics))
            async with Orchestrator(compilation.program) as orchestrator:
                for turn in turns:
                    answer = await orchestrator.answer(Request(message=turn["message"], session="s"))
                    if answer.error is not None:
                        raise SystemExit(f"a turn failed: {answer.error}")
    return [_in_order(body) for body in server.bodies]


def shares(requests: Sequence[str], *, of_before: bool = False) -> Iterator[float]:
    """For each request but the first, the share of it (or of the one before) that begins both."""
    for before, after in pairwise(requests):
        same = next((nth for nth, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
        yield min(same, len(after)) / len(before if of_before else after)


class _Server:
    """A model that answers in one sentence, or calls the tool of a question first where it is offered or found."""

    def __init__(self, tools: Mapping[str, str | None]) -> None:
        self.bodies: list[Json] = []
        self._tools = tools

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        message: Json = {"role": "assistant", "content": ANSWER}
        if call := self._call(body):
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
        return web.json_response({"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]})

    def _call(self, body: Json) -> Json | None:
        messages = body["messages"]
        last = max(nth for nth, message in enumerate(messages) if message["role"] == "user")
        tool = self._tools.get(messages[last]["content"])
        called = [call["function"]["name"] for m in messages[last:] for call in m.get("tool_calls") or ()]
        offered = {tool["function"]["name"] for tool in body.get("tools", ())}
        if tool is None or (called and called[-1] != "find_tools"):
            return None
        arguments: Json = {"number": "48213"}
        if "find_tools" in offered:
            found = any(f'"name":"{tool}"' in str(m.get("content")) for m in messages if m["role"] == "tool")
            if not found and called:
                return None
            name = "call_tool" if found else "find_tools"
            arguments = {"name": tool, "arguments": arguments} if found else {"query": messages[last]["content"]}
        elif tool in offered:
            name = tool
        else:
            return None
        function = {"name": name, "arguments": json.dumps(arguments)}
        return {"id": f"call_{len(self.bodies)}", "type": "function", "function": function}


def _in_order(body: Json) -> str:
    """A request in the order in which providers cache it; the chat API's system prompt is the first message."""
    return json.dumps(body.get("tools", ()), ensure_ascii=False) + json.dumps(body["messages"], ensure_ascii=False)[:-1]


def _tokens(request: str) -> float:
    return len(request) / CHARACTERS_PER_TOKEN


def _write(folder: Path, url: str, session: Json, selection: str) -> Path:
    """Writes a spec, and the tools as functions of a module."""
    tools = session["tools"]
    functions = "\n\n".join(map(_function, tools))
    (folder / "bench_cache_desk.py").write_text(functions, encoding="utf-8")
    listed = "\n".join(
        f'  - {{type: python, name: {tool["name"]}, function: "bench_cache_desk:{tool["name"]}"}}' for tool in tools
    )
    window = f", context_window: {session['window']}" if session["window"] else ""
    embedders = EMBEDDERS if "embedder" in selection else ""
    spec = SPEC.format(
        url=url, system=json.dumps(session["system"]), window=window, tools=listed, selection=selection
    ).replace("EMBEDDERS", embedders)
    path = folder / "victor.yml"
    path.write_text(spec, encoding="utf-8")
    return path


def _function(tool: Json) -> str:
    parameters = ", ".join(f'{name}: str = ""' for name in tool["parameters"])
    about = "\n".join(f"        {name}: {text}" for name, text in tool["parameters"].items())
    return (
        f'def {tool["name"]}({parameters}) -> str:\n    """{tool["description"]}\n\n    Args:\n{about}\n    """\n'
        f'    return "Done. The system has recorded this, and nothing else is needed."\n'
    )


def _costs(session: Json, turns: Sequence[Json]) -> Iterator[list[str]]:
    """The US dollars for the input of 1,000 sessions: what is repeated at the price of cached input, the rest at that of a
    write to the cache where the provider charges for it."""
    for size in (20, 60, 120, 240):
        for name in ("all", "k: 6", "deferred"):
            if name == "all" and size > 128:
                continue  # more than OpenAI's API accepts
            larger = {**session, "tools": _grown(session["tools"], size)}
            requests = asyncio.run(recorded(larger, turns, SELECTIONS[name], calls=True))
            repeated = [0.0, *shares(requests)]
            tokens = [_tokens(request) for request in requests]
            costs = [f"{1000 * _usd(model, repeated, tokens):.2f}" for model in PRICES]
            yield [str(size), name, f"{sum(tokens):,.0f}", f"{mean(repeated[1:]):.3f}", *costs]


def _usd(model: str, repeated: Sequence[float], tokens: Sequence[float]) -> float:
    """What the input of these requests costs by a model's prices."""
    known = find_known_model(model)
    assert known is not None
    assert known.prices is not None
    usd = 0.0
    for share, count in zip(repeated, tokens, strict=True):
        new = round((1 - share) * count)
        plain, written = (new, 0) if known.prices.cache_write is None else (0, new)
        usd += known.prices.cost(plain=plain, output=0, cache_read=round(share * count), cache_write=written)
    return usd


def _grown(tools: Sequence[Json], size: int) -> list[Json]:
    """The tools, and so many others about other subjects that there are `size` of them."""
    others = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": {name: schema["description"] for name, schema in tool.parameters["properties"].items()},
        }
        for tool in catalogue(size)[len(tools) :]
    ]
    return [*tools, *others]


if __name__ == "__main__":
    main()
