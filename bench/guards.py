"""What guards cost and how exactly they hold: `python -m bench.guards`.

CPU of each middleware alone and of all of them, for a turn of twenty messages of 200 characters, over that of the bare
handler, median of rounds; then `redact` on made-up secrets, each cut at every position of a stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from bench.measure import machine, table
from tests.components.middleware.harness import KEY, Guard, a_reply, a_turn, harness, hashed
from tests.components.middleware.secrets_made import MAKERS
from victor_dsl.runtime.middleware import chain
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.redaction.detectors import DETECTORS
from victor_dsl.values.redaction.redactor import RedactedStream, Redactor
from victor_dsl.values.settings import Limits
from victor_dsl.values.turn import Handler, Turn

SAID = "This is what people say when they ask about order 4711, which was sent on Monday and has not come yet. " * 2
PATTERNS = tuple(DETECTORS)


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.guards", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--turns", type=int, default=300, help="in each round")
    parser.add_argument("--secrets", type=int, default=10_000)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_costs(Path(folder), options.rounds, options.turns))
    print(machine("victor_dsl"), end="\n\n")
    print(table(["guard", "µs a turn"], rows), end="\n\n")
    print(table(["secrets", "ways cut", "leaked"], [_leaks(options.secrets)]))


async def _costs(folder: Path, rounds: int, turns: int) -> list[list[str]]:
    (folder / "keys.json").write_text(json.dumps({"keys": [{"key_hash": hashed(KEY), "tenant_id": "acme"}]}))
    (folder / "guards_of_a_bench.py").write_text("async def passes(turn, handler):\n    return await handler(turn)\n")
    limits = Limits(requests_per_minute=1e9, tokens_per_minute=1e12)
    messages = tuple(Message("user" if i % 2 else "assistant", SAID) for i in range(20))
    turn = a_turn(key=KEY, limits=limits, messages=messages)
    reply = a_reply(SAID)

    async def bare(_: Turn) -> Reply:
        return reply

    async with AsyncExitStack() as stack:

        async def guard(type: str, **config: Any) -> Guard:
            return await stack.enter_async_context(harness(type, folder, **config))

        guards = {
            "logging": await guard("logging"),
            "auth (file)": await guard("auth", keys=str(folder / "keys.json")),
            "rate_limit (memory)": await guard("rate_limit"),
            "timeout": await guard("timeout"),
            "retry": await guard("retry"),
            "redact": await guard("redact"),
            "function": await guard("function", function="guards_of_a_bench:passes"),
        }
        handlers = {name: one.live.wrap(bare) for name, one in guards.items()}
        handlers["all seven"] = chain([(name, one.live) for name, one in guards.items()], bare)
        base = await _cpu_us(bare, turn, rounds, turns)
        return [
            [name, f"{await _cpu_us(handler, turn, rounds, turns) - base:.1f}"] for name, handler in handlers.items()
        ]


async def _cpu_us(handler: Handler, turn: Turn, rounds: int, turns: int) -> float:
    measured = []
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(turns):
            await handler(turn)
        measured.append((time.process_time() - begun) / turns * 1e6)
    return median(measured)


def _leaks(count: int) -> Sequence[str]:
    random, redactor = Random(5), Redactor(PATTERNS, {})
    cut = leaked = 0
    for number in range(count):
        name = PATTERNS[number % len(PATTERNS)]
        secret = MAKERS[name](random)
        text = f"It is {secret}, really."
        for place in range(len(text) + 1):
            stream = RedactedStream(redactor)
            redacted = stream.feed(text[:place]) + stream.feed(text[place:]) + stream.end()
            cut += 1
            leaked += redacted != f"It is [{name}], really."
    return (f"{count:,}", f"{cut:,}", f"{leaked:,}")


if __name__ == "__main__":
    main()
