"""The speed of embedders: texts per second that are new, cached on disk, and cached in memory: `python -m bench.vectors`.

All embedders that can run here are measured; `--model2vec FOLDER` and `--sentence-transformers FOLDER` name models.
`openai` calls a server on loopback that answers at once with vectors of 1,536 numbers, so its figure is the client's cost alone.
Wall-clock medians of the rounds; the time to open and load the model is shown separately.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from aiohttp import web
from attrs import field, frozen

from bench.measure import machine, table
from victor_dsl.language.component import Context
from victor_dsl.language.registry import Registry

WORDS = [
    "order",
    "refund",
    "parcel",
    "invoice",
    "please",
    "weather",
    "account",
    "delivery",
    "the",
    "a",
    "my",
    "to",
    "of",
    "is",
    "was",
    "when",
    "where",
    "money",
    "back",
    "late",
]
DIMS = 1536


@frozen
class Clock:
    """The time as it is."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


@frozen
class Timings:
    """Seconds of each round, by where the vectors came from."""

    loading: list[float] = field(factory=list)
    cold: list[float] = field(factory=list)
    disk: list[float] = field(factory=list)
    memory: list[float] = field(factory=list)


def texts(number: int, seed: int) -> list[str]:
    """That many different texts of 20 to 60 words."""
    dice = random.Random(seed)
    return [f"{n} " + " ".join(dice.choices(WORDS, k=dice.randint(20, 60))) for n in range(number)]


async def measure(type: str, fields: Mapping[str, Any], number: int, rounds: int, folder: Path) -> Timings:
    """The rounds of one embedder, each with its own texts and a new file."""
    component = Registry(entry_points=False).find("embedders", type)
    assert component is not None
    timings = Timings()
    for seed in range(rounds):
        state = folder / f"{type}-{seed}"
        context = Context(f"embedders/{type}", folder, state, {}, str, Clock(), random.Random(seed), print)
        batch, first = texts(number, seed), ["the first text waits for the model"]
        config = component.config.model_validate(fields)
        for times in (timings.cold, timings.disk):
            built = component.build(config, context)
            if not hasattr(built, "__aenter__"):  # it caches nothing
                timings.cold.append(await _timed(built, batch))
                break
            async with built as embedder:
                loading = await _timed(embedder, first)
                times.append(await _timed(embedder, batch))
                if times is timings.cold:
                    timings.loading.append(loading)
                    timings.memory.append(await _timed(embedder, batch))
    return timings


async def _timed(embedder: Any, batch: list[str]) -> float:
    begun = time.perf_counter()
    rows = await embedder.embed(batch)
    assert rows.shape[0] == len(batch)
    return time.perf_counter() - begun


async def _answer(request: web.Request) -> web.Response:
    count = len(orjson.loads(await request.read())["input"])
    vector = [0.01] * DIMS
    data = [{"index": n, "embedding": vector} for n in range(count)]
    return web.Response(body=orjson.dumps({"data": data}), content_type="application/json")


async def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--texts", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model2vec", metavar="FOLDER")
    parser.add_argument("--sentence-transformers", metavar="FOLDER")
    arguments = parser.parse_args()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/embeddings", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    embedders: dict[str, dict[str, Any]] = {
        "hashing": {},
        "tfidf": {},
        "openai": {"model": "m", "base_url": f"http://127.0.0.1:{port}/v1"},
    }
    if arguments.model2vec:
        embedders["model2vec"] = {"path": arguments.model2vec}
    if arguments.sentence_transformers:
        embedders["sentence_transformers"] = {"path": arguments.sentence_transformers, "device": "cpu"}
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for type, fields in embedders.items():
            timings = await measure(type, fields, arguments.texts, arguments.rounds, Path(name))
            speeds = [
                f"{arguments.texts / median(t):,.0f}" if t else "-"
                for t in (timings.cold, timings.disk, timings.memory)
            ]
            loading = f"{timings.loading[0]:.2f}" if timings.loading else "-"
            rows.append([type, loading, *speeds])
            print(type, file=sys.stderr)
    await runner.cleanup()
    print(table(["embedder", "first text, s", "new, texts/s", "from disk", "from memory"], rows))
    print(f"\n{arguments.texts:,} texts of 20 to 60 words, {arguments.rounds} rounds; {machine()}")


if __name__ == "__main__":
    asyncio.run(main())
