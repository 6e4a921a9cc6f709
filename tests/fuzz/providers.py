"""Searches for a file of values that a provider reads in part, or that fails with anything but a ProviderError.

    python -m tests.fuzz.providers --count 100000

A pipeline answers while its file changes to a sound one, to a mutated one, and back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.components.context import StillClock
from tests.fuzz._mutation import damaged, mutated, written
from tests.fuzz._running import random_of, run
from tests.runtime.stage import Says, Stage
from victor_dsl.errors import VictorError
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Turn

SPEC = """
models: {main: {type: given}}
vars: {sign: none, tags: [a], order: {items: [1], open: true}}
settings: {temperature: 0.1, limits: {tools: {deny: [x]}}}
providers: [{type: file, path: values.json, watch: true}]
"""
WHOLE: dict[str, Any] = {
    "settings": {
        "temperature": 0.3,
        "stop": ["a"],
        "limits": {"tools": {"+deny": ["refund"]}, "requests_per_minute": 5},
    },
    "vars": {"sign": "new", "+tags": ["b"], "order": {"items": [], "open": False}, "more": [1.5, None, "x"]},
}


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Puts a mutated file in place for each number; how the turns after it ended."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_search(Path(folder), numbers, seed))


async def _search(folder: Path, numbers: Iterable[int], seed: int) -> Counter[str]:
    endings, clock, model = Counter[str](), StillClock(), Says(["fine"])
    path = folder / "values.json"
    path.write_bytes(b"{}")

    async with Stage(folder, {"models/main": model}).orchestrator(SPEC, clock=clock) as orchestrator:

        async def answered(data: bytes) -> tuple[VictorError | None, Turn | None]:
            path.write_bytes(data)
            clock.time += 2  # the file is looked at once a second
            model.turns.clear()
            answer = await orchestrator.answer(Request(message="hi"))
            return answer.error, model.turns[0] if model.turns else None

        for number in numbers:
            random, sign = random_of(number, seed), f"good {number}"
            _, turn = await answered(written({"settings": {"temperature": 0.2}, "vars": {"sign": sign}}, random))
            assert turn is not None
            assert turn.vars["sign"] == sign
            data = written(mutated(WHOLE, random), random)
            if random.random() < 0.4:
                data = damaged(data, random)
            try:
                endings[_ending(*await answered(data), sign)] += 1
            except Exception as error:
                raise AssertionError(f"file {number} of seed {seed}:\n{data!r}") from error
    return endings


def _ending(error: VictorError | None, turn: Turn | None, sign: str) -> str:
    if error is not None:
        assert "internal error" not in str(error), error
        return error.code
    assert turn is not None
    if turn.vars.get("sign") != sign:
        assert turn.settings.temperature != 0.2, "some of the last good values stay, and some do not"
        return "read"
    assert (turn.settings.temperature, turn.settings.stop, turn.vars["tags"]) == (0.2, None, ["a"]), (
        "it is read in part"
    )
    return "the last good values stay"


if __name__ == "__main__":
    run(search, __doc__)
