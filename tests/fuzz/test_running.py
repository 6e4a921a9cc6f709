"""A search is ended where an input takes too much, and says which."""

from __future__ import annotations

import subprocess
import sys

import pytest

SEARCH = """
from collections import Counter
from tests.fuzz import _running
_running.MOST_SECONDS = 1
def search(numbers, seed):
    for number in numbers:
        if number == 3:
            {harm}
    return Counter(fine=1)
_running.run(search, "")
"""


def run(harm: str, count: int) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", SEARCH.format(harm=harm), "--count", str(count)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("harm", "ended"), [("while True: pass", "SIGPROF"), ("bytearray(2**31)", "exit code 1"), ("1 / 0", "exit code 1")]
)
def test_an_input_that_takes_too_much_ends_the_search(harm: str, ended: str) -> None:
    result = run(harm, 5)
    assert result.stderr.endswith(f"{ended}; again with: --seed 0 --first 3 --count 1\n")
    assert result.returncode == 1


def test_a_search_says_how_its_inputs_ended() -> None:
    result = run("pass", 3)
    assert result.stdout.startswith("3 inputs; slowest: ")
    assert result.stdout.endswith("       1  fine\n")
