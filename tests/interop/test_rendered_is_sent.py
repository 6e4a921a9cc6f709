"""What `render` shows is what the model is sent: the system prompt, the messages and the tools, for many specs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import victor_dsl
from tests.components.models.playback import Playback, whole
from tests.components.models.recorded import openai_whole
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.codec import read_request

TOOLS = {
    "look_up_weather": "Tells the weather of a place tomorrow.",
    "find_order": "Finds an order or a parcel.",
    "refund_invoice": "Refunds an invoice.",
    "cancel_order": "Cancels an order.",
    "mail_user": "Writes mail to a user.",
}
MODULE = "\n".join(
    f'def {name}(query: str = ""):\n    """{text}"""\n    return "rain " * 40' for name, text in TOOLS.items()
)
WORDS = (
    "weather",
    "order",
    "refund",
    "invoice",
    "parcel",
    "mail",
    "ann@example.org",
    "street",
    "Berlin",
    "cancel",
    "price",
    "user",
    "why",
    "when",
)
SPEC = """victor: 1
name: rendered
vars: {product: Acme}
contributors:
  - {type: template, template: "You support {{ product }} in {{ session }}. Mail bob@example.org."}
  - {type: text, text: Be brief.}
tools:
"""
PARTS: Mapping[str, Sequence[str]] = {
    "models": [
        "{main: {MODEL}}",
        "{main: {MODEL, settings: {max_tokens: 60}}}",
        "{main: {type: pool, members: [a, b], by: weight}, a: {MODEL}, b: {MODEL}}",
        "{main: {MODEL}, big: {type: openai, model: m, base_url: URL, context_window: 200000}}",
    ],
    "tool_selection": ["{type: all}", "{type: keyword, k: 2}", "{type: hybrid, k: 1, most: 2}", "{type: deferred}"],
    "compaction": [
        "{type: recent, threshold: 0.5}",
        "{type: salience, threshold: 0.6, target_ratio: 0.5}",
        "{type: truncate, threshold: 0.7}",
        "{type: recent, threshold: 0, target_ratio: 0.6}",
    ],
    "middleware": ["[]", "[redact]", "[{type: redact, around: model}]", "[{type: redact, around: turn}, retry]"],
    "prompt": ["{order: priority}", "{order: stability}"],
    "variants": [
        "{}",
        "{tone: {unit: session, arms: {long: {weight: 1, with: {contributors: {text: {text: Be long.}}}}}}}",
    ],
    "tenants": ["{acme: {with: {vars: {product: Beta}, settings: {limits: {tools: {deny: ['cancel_*']}}}}}}"],
}


class Recording(Playback):
    """Answers with some words, or calls one of the tools that it was offered."""

    def __init__(self, random: Random) -> None:
        super().__init__(whole({}))
        self.random = random

    async def _play(self, answer: Any, reader: Any, writer: Any) -> bool:
        body, random = self.asked[-1].body, self.random
        answer = openai_whole({"content": " ".join(random.choices(WORDS, k=random.randint(3, 60)))})
        if body["messages"][-1]["role"] != "tool" and random.random() < 0.4:
            function = {"name": random.choice(body["tools"])["function"]["name"], "arguments": '{"query": "weather"}'}
            called = [{"id": f"c{len(self.asked)}", "type": "function", "function": function}]
            answer = openai_whole({"content": None, "tool_calls": called}, "tool_calls")
        del answer["usage"]  # else this process would learn how the model counts, and another one could not know
        return await super()._play(whole(answer), reader, writer)


def spec_of(random: Random, url: str) -> tuple[str, bool]:
    """A spec, and whether it defers its tools."""
    parts = {name: random.choice(choices) for name, choices in PARTS.items()}
    window = random.choice([100_000, 3_000, 1_500])
    model = f'type: openai, model: m, base_url: "{url}/v1", context_window: {window}'
    parts["models"] = parts["models"].replace("MODEL", model).replace("URL", f'"{url}/v1"')
    fallbacks = ", fallbacks: [big]" if "big:" in parts["models"] else ""
    parts["settings"] = f"{{model: main, max_tokens: 80{fallbacks}}}"
    tools = [f"  - {{type: python, name: {name}, function: 'shop:{name}'}}\n" for name in TOOLS]
    rest = [f"{name}: {part}\n" for name, part in parts.items()]
    return "".join([SPEC, *tools, *rest, "sessions: {type: sqlite, path: sessions.db}\n"]), "deferred" in "".join(rest)


def requests(random: Random) -> Iterator[dict[str, Any]]:
    """The turns of a session, of a whole conversation, or of no conversation."""
    kind, conversation = random.choice(["session", "messages", "message"]), []
    tenant = random.choice([None, "acme"])
    for number in range(6):
        text = " ".join(random.choices(WORDS, k=random.choice([2, 5, 40, 200])))
        conversation.append({"role": "user", "content": text})
        line: dict[str, Any] = {"id": number, "tenant": tenant, "message": text}
        if kind == "session":
            line["session"] = "s"
        elif kind == "messages":
            del line["message"]
            line["messages"] = [{"role": "system", "content": "Be kind."}, *conversation]
        yield {key: value for key, value in line.items() if value is not None}
        conversation.append({"role": "assistant", "content": "Very well. " * 9})


def simplified(messages: Sequence[Mapping[str, Any]], *, deferred: bool = False) -> list[Any]:
    """Roles, texts and calls; with `deferred` as the model gets them, which calls the tools that it found by `call_tool`."""
    simple: list[Any] = []
    for message in messages:
        calls = [
            (call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
        if deferred:
            calls = [
                (name, arguments)
                if name in ("find_tools", "call_tool")
                else ("call_tool", {"name": name, "arguments": arguments})
                for name, arguments in calls
            ]
        simple.append((message["role"], message.get("content") or "", calls))
    return simple


@pytest.mark.parametrize("seed", range(24))
async def test_render_shows_what_run_sends(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    (tmp_path / "shop.py").write_text(MODULE)
    sys.modules.pop("shop", None)
    path = tmp_path / "victor.yml"
    async with Recording(random) as server:
        text, deferred = spec_of(random, server.url)
        path.write_text(text)
        compilation = victor_dsl.compile(path)
        assert compilation.program is not None, compilation.diagnostics
        rendering = Orchestrator(compilation.program, answering=False)
        async with victor_dsl.open(path) as running, rendering:
            for line in requests(random):
                request = read_request(line)
                here, elsewhere = [(await each.render(request)).to_dict() for each in (running, rendering)]
                before = len(server.asked)
                answer = await running.answer(request)
                assert answer.error is None
                body = server.asked[before].body
                system, *messages = body["messages"]
                tools = [tool["function"]["name"] for tool in body["tools"]]
                for shown in (here, elsewhere):
                    assert shown["system"] == system["content"]
                    assert (["find_tools", "call_tool"] if deferred else shown["sent_tools"]) == tools
                assert simplified(here["messages"], deferred=deferred) == simplified(messages)
                if here["compaction"] is None:  # else the other process may not know of one within an earlier turn
                    assert simplified(elsewhere["messages"], deferred=deferred) == simplified(messages)
