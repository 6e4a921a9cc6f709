"""Times the default compaction beside scikit-learn's k-means, which keeps a message for each of n/2 clusters.

    python -m bench.compaction
    python -m bench.compaction --sizes 1000 5000 20000 --rounds 9 --rival 5000

Conversations consist of words with the frequencies of natural language (Zipf), with names and numbers among them. Cold is the
whole work on a new history: count its tokens, group its messages, read them and choose half of the tokens. Warm is the same after
two more messages. K-means gets vectors that are already computed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
import warnings
from collections.abc import Sequence
from statistics import median

import numpy as np

from bench.measure import machine, table
from victor_dsl.components.compaction.salience.strategy import Salience
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.turn import Turn

DIMENSIONS = 384
SETTINGS = Settings(threshold=0.0, target_ratio=0.5)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.compaction", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 2_000, 5_000, 10_000, 20_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rival", type=int, default=5_000, help="the size at which k-means runs too; 0 for never")
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        messages = conversation(size + 2)
        times = [asyncio.run(_timed(messages)) for _ in range(options.rounds)]
        cold, warm = (median(column) * 1e3 for column in zip(*times, strict=True))
        row = [f"{size:,}", f"{cold:.1f}", f"{cold / size * 1e3:.1f}", f"{warm:.1f}", "", ""]
        if size == options.rival:
            rival = median(_k_means(size) for _ in range(min(options.rounds, 3))) * 1e3
            row[4:] = [f"{rival:,.0f}", f"1/{rival / cold:.0f}"]
        rows.append(row)
    print(table(["messages", "cold ms", "cold µs each", "warm ms", "k-means ms", "cold / k-means"], rows))
    print(f"\n{machine('numpy', 'scikit-learn')}")


def conversation(size: int, seed: int = 7) -> tuple[Message, ...]:
    """A chat of this many messages, of 5 to 40 words each."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(10_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    messages = []
    for number in range(size):
        words = rng.choices(vocabulary, weights, k=rng.randint(5, 40))
        words[0] = words[0].capitalize()
        if number % 5 == 0:
            words.insert(rng.randrange(len(words)), rng.choice(vocabulary).capitalize())
        if number % 7 == 0:
            words.insert(rng.randrange(len(words)), str(rng.randrange(10_000)))
        messages.append(Message("assistant" if number % 2 else "user", " ".join(words) + rng.choice(".!?")))
    return tuple(messages)


async def _timed(messages: Sequence[Message]) -> tuple[float, float]:
    """Seconds of a first compaction, and of one with two more messages."""
    coordinator = ContextCoordinator(Salience(recent=0.05), type="salience", deadline_s=600)
    seconds = []
    for upto in (len(messages) - 2, len(messages)):
        turn = Turn(id=str(upto), session="one", messages=tuple(messages[:upto]), settings=SETTINGS)
        started = time.perf_counter()
        compacted = await coordinator.compact(turn, 100_000_000)
        seconds.append(time.perf_counter() - started)
        if compacted.compaction is None or compacted.compaction.fallback:
            raise SystemExit("the strategy failed")
    return seconds[0], seconds[1]


def _k_means(size: int) -> float:
    """Seconds of scikit-learn's k-means over random unit vectors, k = size / 2."""
    from sklearn.cluster import KMeans

    vectors = np.random.default_rng(7).standard_normal((size, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    started = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):
        KMeans(n_clusters=size // 2, random_state=7).fit(vectors)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
