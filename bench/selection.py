"""The cost of selecting tools by words, beside TF-IDF cosine: `python -m bench.selection`.

Catalogues of 100, 1,000 and 10,000 tools are generated, the same in every run: names of three words, a description of two
sentences and four parameters, from about 3,000 made-up words with the frequencies of English (Zipf). Each of 200 requests asks for two
tools in two sentences, by every fifth word of their names and descriptions. The peer is scikit-learn's TfidfVectorizer over
the same texts, with the dot product of all tools. Times are CPU time of one thread, medians over the requests, in interleaved rounds.
Memory is the growth of a separate process while it builds the index.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from bench.measure import machine, table
from victor_dsl.components.ranking.lexical import LexicalRanking
from victor_dsl.components.ranking.tool_texts import prose
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

SIZES = (100, 1_000, 10_000)
REQUESTS = 200
K = 5
BEGINNINGS = ("b", "br", "c", "d", "f", "g", "gr", "k", "l", "m", "n", "p", "pl", "r", "s", "st", "t", "tr", "v", "w")
SYLLABLES = [beginning + vowel + end for beginning, vowel, end in product(BEGINNINGS, "aeiou", ("", "n", "r"))]
WORDS = [f"{first}{second}" for first, second in zip(SYLLABLES * 10, SYLLABLES[7:] * 11, strict=False)]


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.selection", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine("victor_dsl", "numpy", "scikit-learn"), end="\n\n")
    rows = [row for size in SIZES for row in _measured(size, options.rounds)]
    print(table(["tools", "", "build, ms", "memory, MB", "request, ms", "95 %, ms", f"found of two in {K}"], rows))


def catalogue(size: int) -> tuple[Tool, ...]:
    """So many tools, alike in every run."""
    chance = random.Random(size)
    weights = [1 / rank for rank in range(1, len(WORDS) + 1)]

    def words(count: int) -> list[str]:
        return chance.choices(WORDS, weights, k=count)

    tools = []
    for nth in range(size):
        name = "_".join([*words(1), *chance.choices(WORDS, k=2), str(nth)])
        parameters = {word: {"type": "string", "description": " ".join(words(6))} for word in words(4)}
        description = f"{' '.join(words(12))}. {' '.join(words(10))}."
        tools.append(Tool(name, description, {"type": "object", "properties": parameters}))
    return tuple(tools)


def requests(tools: Sequence[Tool]) -> list[tuple[str, set[str]]]:
    """Texts, each with the two tools that it asks for."""
    chance = random.Random(len(tools))
    found = []
    for _ in range(REQUESTS):
        two = chance.sample(tools, 2)
        texts = [f"{tool.name} {tool.description}".replace("_", " ").split() for tool in two]
        text = ". ".join(" ".join(chance.sample(words, len(words) // 5)) for words in texts)
        found.append((text, {tool.name for tool in two}))
    return found


def _measured(size: int, rounds: int) -> list[list[str]]:
    tools = catalogue(size)
    labelled = requests(tools)
    rows = []
    for name, make in MAKERS.items():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            grown_mb = alone.submit(_grown_mb, name, size).result()
        start = time.process_time()
        select = make(tools)
        built_s = time.process_time() - start
        times, found = [], 0
        for nth in range(rounds):
            for text, two in labelled:
                start = time.process_time()
                names = select(text)
                times.append(time.process_time() - start)
                found += len(two.intersection(names)) if nth == 0 else 0
        slow = sorted(times)[int(len(times) * 0.95)]
        figures = [f"{built_s * 1e3:.0f}", f"{grown_mb:.0f}", f"{median(times) * 1e3:.2f}", f"{slow * 1e3:.2f}"]
        rows.append([f"{size:,}", name, *figures, f"{found / (2 * len(labelled)):.2f}"])
    return rows


def _ours(tools: tuple[Tool, ...]) -> Callable[[str], list[str]]:
    strategy = LexicalRanking()
    loop = asyncio.new_event_loop()
    turn = Turn("t", "s", (), settings=Settings(k=K), tools=tools)

    def select(text: str) -> list[str]:
        asking = turn.replace(messages=(Message("user", text),))
        return [tool.name for tool in loop.run_until_complete(strategy.select(tools, asking))]

    select(tools[0].name)  # builds the index
    return select


def _tfidf(tools: Sequence[Tool]) -> Callable[[str], list[str]]:
    vectorizer = TfidfVectorizer(sublinear_tf=True)
    rows = vectorizer.fit_transform(prose(tool) for tool in tools)

    def select(text: str) -> list[str]:
        scores = (rows @ vectorizer.transform([text]).T).toarray().ravel()
        return [tools[position].name for position in np.argsort(-scores, kind="stable")[:K]]

    return select


MAKERS: Mapping[str, Callable[[tuple[Tool, ...]], Callable[[str], list[str]]]] = {
    "victor_dsl": _ours,
    "TF-IDF cosine": _tfidf,
}


def _grown_mb(name: str, size: int) -> float:
    """The memory that an index takes, and that its making leaves behind."""
    tools = catalogue(size)
    MAKERS[name](catalogue(1))  # imports, and objects that are made once
    gc.collect()
    before = _resident_mb()
    select = MAKERS[name](tools)
    gc.collect()
    grown = _resident_mb() - before
    select("")  # so that the index is still in use when the memory is read
    return grown


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
