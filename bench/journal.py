"""What the journal costs: beside a loop that only makes JSON of the events and writes it, and in a turn.

    python -m bench.journal

The first table appends the same events in batches, each batch with one write in both cases; the journal also has a checksum,
positions and segments. The second one answers turns of an echo model, with and without the journal, in turns.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import orjson

import victor_dsl
from victor_dsl.graph.plan import JournalPolicy
from victor_dsl.runtime.delivery.journal import Journal
from victor_dsl.runtime.nodes import SystemClock
from victor_dsl.storage.journal import Reader
from victor_dsl.values.event import Event, uuid7

EVENTS = 100_000
BATCHES = (1, 10, 100, 1_000)
ROUNDS = 5
TURNS = 300
HEAD = """\
| events in a batch | raw loop, events/s | journal, events/s | journal / raw |
| ---: | ---: | ---: | ---: |
"""
SPEC = """\
victor: 1
name: bench
models: {main: {type: echo, context_window: 8000}}
exporters: [{type: jsonl, path: /dev/null, flush_seconds: 60, queue_size: 1000000, batch_size: 100000}]
"""


def events() -> list[Event]:
    """Events as model calls make them."""
    data = {
        "model": "models/main",
        "provider": "echo",
        "latency_ms": 12.345,
        "input_tokens": 1_234,
        "output_tokens": 56,
        "cost_usd": 0.000123,
        "cached_tokens": 0,
        "stop_reason": "stop",
    }
    now = 1_790_000_000.0
    return [Event(uuid7(now), "model_call", now, f"s{n}", "acme", "bench", "9" * 32, {}, data) for n in range(EVENTS)]


def raw(made: list[Event], batch: int, folder: Path) -> float:
    """Seconds for a loop of `orjson.dumps` and `write`."""
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    begin = time.perf_counter()
    for start in range(0, len(made), batch):
        rows = [
            [e.id, e.type, e.timestamp, e.session, e.tenant, e.pipeline, e.plan, e.variants, e.data, e.user]
            for e in made[start : start + batch]
        ]
        os.write(descriptor, orjson.dumps(rows) + b"\n")
    seconds = time.perf_counter() - begin
    os.close(descriptor)
    return seconds


def journal(made: list[Event], batch: int, folder: Path) -> float:
    """Seconds for the same events in a journal; all are read back."""
    one = Journal(folder / "journal", JournalPolicy(max_mb=1_024), SystemClock())
    one.feed("exporters/x")
    begin = time.perf_counter()
    for start in range(0, len(made), batch):
        one.append(made[start : start + batch])
    seconds = time.perf_counter() - begin
    (path,) = (folder / "journal").iterdir()
    found = sum(len(orjson.loads(payload)) for _, payload in Reader(path, live=True))
    if found != len(made):
        raise RuntimeError(f"{found} of {len(made)} events were read back")
    asyncio.run(one.discard())
    return seconds


async def turns(folder: Path, *, journalled: bool) -> float:
    """Seconds of one turn: the median of several hundred."""
    (folder / "victor.yml").write_text(SPEC)
    state = folder / ("state" if journalled else "no-state")
    state.mkdir(exist_ok=True)
    if not journalled:
        (state / "journal").touch()  # a file, so that there can be no folder
    took = []
    async with victor_dsl.open(folder / "victor.yml", state=state) as app:
        for _ in range(TURNS):
            begin = time.perf_counter()
            await app.chat("Hello!")
            took.append(time.perf_counter() - begin)
    return median(took)


def main() -> None:
    """The command."""
    logging.disable(logging.WARNING)  # that there is no journal
    made = events()
    folder = Path(tempfile.mkdtemp())
    try:
        sys.stdout.write(HEAD)
        for batch in BATCHES:
            pairs = [(raw(made, batch, folder), journal(made, batch, folder)) for _ in range(ROUNDS)]
            plain, ours = (EVENTS / min(pair[place] for pair in pairs) for place in (0, 1))
            sys.stdout.write(f"| {batch} | {plain:,.0f} | {ours:,.0f} | {ours / plain:.2f} |\n")
        costs = []
        for _ in range(ROUNDS):
            without = asyncio.run(turns(folder, journalled=False))
            costs.append((asyncio.run(turns(folder, journalled=True)), without))
        with_it, without = (min(pair[place] for pair in costs) * 1e6 for place in (0, 1))
        sys.stdout.write(
            f"\nturn: {with_it:.0f} µs with the journal, {without:.0f} µs without: {with_it - without:.0f} µs\n"
        )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
