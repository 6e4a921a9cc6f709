"""What embedders cost: texts a second when they are new, when they are on disk, and when they are in memory: `python -m bench.vectors`.

Every embedder that can run here takes part; models are given by `--model2vec FOLDER` and `--sentence-transformers FOLDER`.
`openai` asks a server on loopback that answers at once with vectors of 1,536 numbers, so its figure is this side's alone. Medians of the
rounds, by the clock; opening and loading the model are shown apart.
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
class Taken:
    """Seconds of each round, by what the texts were to the embedder."""

    loading: list[float] = field(factory=list)
    cold: list[float] = field(factory=list)
    disk: list[float] = field(factory=list)
    memory: list[float] = field(factory=list)


def texts(number: int, seed: int) -> list[str]:
    """So many texts of 20 to 60 words, no two alike."""
    dice = random.Random(seed)
    return [f"{n} " + " ".join(dice.choices(WORDS, k=dice.randint(20, 60))) for n in range(number)]


async def measure(type: str, fields: Mapping[str, Any], number: int, rounds: int, folder: Path) -> Taken:
    """The rounds of one embedder, each with texts of its own and a new file."""
    component = Registry(entry_points=False).find("embedders", type)
    assert component is not None
    taken = Taken()
    for seed in range(rounds):
        state = folder / f"{type}-{seed}"
        kept = Context(f"embedders/{type}", folder, state, {}, str, Clock(), random.Random(seed), print)
        given, first = texts(number, seed), ["the first text waits for the model"]
        config = component.config.model_validate(fields)
        for times in (taken.cold, taken.disk):
            built = component.build(config, kept)
            if not hasattr(built, "__aenter__"):  # it keeps nothing
                taken.cold.append(await _timed(built, given))
                break
            async with built as embedder:
                loading = await _timed(embedder, first)
                times.append(await _timed(embedder, given))
                if times is taken.cold:
                    taken.loading.append(loading)
                    taken.memory.append(await _timed(embedder, given))
    return taken


async def _timed(embedder: Any, given: list[str]) -> float:
    begun = time.perf_counter()
    rows = await embedder.embed(given)
    assert rows.shape[0] == len(given)
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
            taken = await measure(type, fields, arguments.texts, arguments.rounds, Path(name))
            speeds = [
                f"{arguments.texts / median(t):,.0f}" if t else "-" for t in (taken.cold, taken.disk, taken.memory)
            ]
            loading = f"{taken.loading[0]:.2f}" if taken.loading else "-"
            rows.append([type, loading, *speeds])
            print(type, file=sys.stderr)
    await runner.cleanup()
    print(table(["embedder", "first text, s", "new, texts/s", "from disk", "from memory"], rows))
    print(f"\n{arguments.texts:,} texts of 20 to 60 words, {arguments.rounds} rounds; {machine()}")


if __name__ == "__main__":
    asyncio.run(main())
