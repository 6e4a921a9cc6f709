"""Searches for an answer of a model's server that ends in anything but a reply or a ModelError.

    python -m tests.fuzz.replies --count 100000

Recorded answers of the three APIs, whole and streamed, are mutated as values and as bytes, and cut into pieces.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from tests.components.models.asking import API, HELLO, KEY, WEATHER, Listener, asking
from tests.components.models.playback import Answer, Playback, streamed, whole
from tests.components.models.recorded import (
    ANTHROPIC_USAGE,
    TEXT,
    TOOLS,
    anthropic_whole,
    called,
    openai_whole,
    reasoned,
    response,
    spoken,
)
from tests.fuzz._mutation import damaged, mutated, written
from tests.fuzz._running import random_of, run
from victor_dsl.components.stored_turns import messages_to_text, read_history
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Reply

OPENAI_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
WHOLE: dict[str, tuple[Any, ...]] = {
    "openai": (
        openai_whole({"content": "Hi.", "refusal": None, "reasoning_content": "Hm."}),
        openai_whole({"content": None, "tool_calls": [OPENAI_CALL]}, "tool_calls"),
        {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}},
    ),
    "responses": (
        response([reasoned(), spoken("Hi.")]),
        response([reasoned(), called("weather", '{"city": "Paris"}', "call_1")]),
        response([], "failed", error={"code": "server_error", "message": "broken"}),
        response([spoken("Hi")], "incomplete", incomplete_details={"reason": "max_output_tokens"}),
    ),
    "anthropic": (
        anthropic_whole([{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "Hi."}]),
        anthropic_whole([{"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}}], "tool_use"),
        {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}, "usage": ANTHROPIC_USAGE},
    ),
}
STATUSES = (
    "200 OK",
    "200 OK",
    "200 OK",
    "400 Bad Request",
    "401 Unauthorized",
    "429 Too Many Requests",
    "503 Busy",
    "302 Found",
)
HEADERS = ("Retry-After: 5", "Retry-After: nan", "Retry-After: -1", "X-Request-Id: 1")


def _data(stream: bytes) -> list[Any]:
    """The data of a stream's events."""
    lines = [line.removeprefix(b"data: ") for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]


STREAMS = {api: [_data(TEXT[api]), _data(TOOLS[api])] for api in API}


def answer_of(api: str, streams: bool, random: Random) -> Answer:
    """A mutated answer."""
    if not streams:
        body = written(mutated(random.choice(WHOLE[api]), random), random)
        body = damaged(body, random) if random.random() < 0.3 else body
        return whole(body, random.choice(STATUSES), "application/json", random.choice(HEADERS))
    body = b"".join(
        b"data: " + (b"[DONE]" if data == "[DONE]" else written(data, random)) + b"\n\n"
        for data in mutated(random.choice(STREAMS[api]), random)
    )
    body = damaged(body, random) if random.random() < 0.3 else body
    size = random.choice((1, 7, 100, 10_000))
    pieces = [body[start : start + size] for start in range(0, min(len(body), 200 * size), size)]
    return streamed(*pieces, random.choice(("end", "end", "end", "reset", b"")))


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Plays a mutated answer to a model for each number; how the calls ended."""
    return asyncio.run(_search(numbers, seed))


async def _search(numbers: Iterable[int], seed: int) -> Counter[str]:
    endings = Counter[str]()
    async with AsyncExitStack() as stack:
        servers = {api: await stack.enter_async_context(Playback()) for api in API}
        models = {api: await stack.enter_async_context(asking(api, servers[api].url)) for api in API}
        for number in numbers:
            random = random_of(number, seed)
            api, streams = random.choice(list(API)), random.random() < 0.5
            listener, turn = Listener(), HELLO.replace(tools=(WEATHER,))
            played = answer_of(api, streams, random)
            servers[api].asked.clear()
            servers[api].answers[:] = [played]
            try:
                reply = await models[api].answer(listener.to(turn) if streams else turn)
                check(reply, listener if streams and api == "openai" else None)
                endings[f"{api}: {reply.stop_reason}"] += 1
            except ModelError as error:
                endings[f"{api}: {error.kind}"] += 1
                check_error(str(error))
            except Exception as error:
                raise AssertionError(f"answer {number} of seed {seed} to {api}:\n{played!r}") from error
    return endings


def check_error(message: str) -> None:
    assert KEY not in message
    assert len(message) < 5000


def check(reply: Reply, listener: Listener | None) -> None:
    """What later steps rely on. `listener` heard the answer; the other APIs say parts of it again at their end."""
    message, usage = reply.message, reply.usage
    assert message.role == "assistant"
    assert message.tokens > 0
    assert isinstance(message.content, str | None)
    for call in message.tool_calls:
        assert call.id
        assert call.name
        assert isinstance(call.arguments, str)
    assert all(tokens is None or 0 <= tokens < 2**63 for tokens in (usage.input_tokens, usage.output_tokens))
    read_history([messages_to_text([message])], "s1", node="store", hint="")
    assert listener is None or listener.text == (message.content or "")


if __name__ == "__main__":
    run(search, __doc__)
