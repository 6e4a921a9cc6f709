"""Searches for a stored row of a session that is neither read whole nor refused.

python -m tests.fuzz.rows --count 100000
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.components.sessions.test_damaged_rows import mutants, use
from tests.fuzz._running import random_of, run
from victor_dsl.components.stored_turns import read_history
from victor_dsl.errors import StoreError


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Reads a mutated row for each number; how many were read and refused."""
    endings = Counter[str]()
    for number in numbers:
        text = mutants(random_of(number, seed).randrange)
        try:
            messages = read_history([text], "s1", node="sessions/store", hint="look")
        except StoreError:
            endings["refused"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"row {number} of seed {seed}:\n{text}") from error
        try:
            use(messages)
        except Exception as error:
            raise AssertionError(f"row {number} of seed {seed}:\n{text}") from error
        endings["read"] += 1
    return endings


if __name__ == "__main__":
    run(search, __doc__)
