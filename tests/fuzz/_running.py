"""Runs a search from the command line, in a child process whose memory, and CPU time for each input, are limited."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import logging
import multiprocessing
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.sharedctypes import Synchronized
from random import Random

MOST_BYTES = 2**30
MOST_SECONDS = 10
"""The most CPU time for one input."""

Search = Callable[[Iterable[int], int], Counter[str]]
"""Tries the inputs of these numbers, and counts how they ended. An input depends on its number and the seed only."""


def random_of(number: int, seed: int) -> Random:
    """What makes the input of that number."""
    return Random(f"{seed} {number}")


def run(search: Search, description: str | None) -> None:
    """Searches, and prints how inputs ended, the slowest one and the peak of memory. Ends the program where one failed."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    given = parser.parse_args()
    fork = multiprocessing.get_context("fork")
    current = fork.Value("q", -1)
    numbers = range(given.first, given.first + given.count)
    child = fork.Process(target=_search, args=(search, numbers, given.seed, current))
    child.start()
    child.join()
    if child.exitcode:
        ended = signal.Signals(-child.exitcode).name if child.exitcode < 0 else f"exit code {child.exitcode}"
        sys.exit(f"{ended}; again with: --seed {given.seed} --first {current.value} --count 1")


def _search(search: Search, numbers: range, seed: int, current: Synchronized[int]) -> None:
    logging.disable()
    gc.enable()  # the command line switches it off while it starts
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    faulthandler.register(signal.SIGPROF, chain=True)  # the timer sends it where an input took too long
    slowest = (0.0, 0)

    def watched() -> Iterator[int]:
        nonlocal slowest
        for number in numbers:
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
            current.value = number
            yield number
            slowest = max(slowest, (time.process_time() - began, number))

    endings = search(watched(), seed)
    signal.setitimer(signal.ITIMER_PROF, 0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    sys.stdout.write(
        f"{len(numbers):,} inputs; slowest: {slowest[0] * 1000:.0f} ms (number {slowest[1]}); peak: {peak:.0f} MB\n"
    )
    for ending, times in endings.most_common():
        sys.stdout.write(f"{times:>8}  {ending}\n")
