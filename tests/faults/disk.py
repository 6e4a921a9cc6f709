"""Whether a full disk below the journal costs events: turns run until they are refused, then the disk has room again.

    python -m tests.faults.disk --times 3

The disk is a file system in memory, which only root may mount; without it nothing is measured.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path

import victor_dsl
from tests.faults._counting import Outcome, command, outcome
from tests.faults._small_disk import fill, small_disk
from victor_dsl.values.request import Request

SPEC = """\
victor: 1
name: disk
models: {main: {type: echo, context_window: 8000}}
journal: {when_full: fail}
exporters: [{type: jsonl, path: DISK/events.jsonl, flush_seconds: 0.05}]
"""
AFTER = 50
"""How many turns run after the disk has room again."""


def run(times: int, folder: Path, chance: random.Random) -> Mapping[str, Outcome]:
    """Fills the disk so many times; nothing where it cannot be mounted."""
    written: list[str] = []
    delivered: list[str] = []
    for number in range(times):
        one = folder / str(number)
        with small_disk(one / "disk", 24) as mounted:
            if not mounted:
                return {}
            left = chance.randrange(2 << 20, 4 << 20)
            written += asyncio.run(_run(one, f"{number}-", left))
            delivered += _answered(one / "disk" / "events.jsonl")
    return {"journal: its disk full": outcome(written, delivered)}


async def _run(folder: Path, prefix: str, left: int) -> list[str]:
    disk = folder / "disk"
    spec = folder / "victor.yml"
    spec.write_text(SPEC.replace("DISK", str(disk)))
    answered: list[str] = []
    async with victor_dsl.open(spec, state=disk / "state") as app:
        filler = fill(disk, left)
        refused = None
        after = 0
        for number in range(100_000):
            reply = await app.answer(Request(message="Hello!", session=f"{prefix}{number}", tenant="t" * 200))
            if reply.error is None:
                answered.append(f"{prefix}{number}")
                after += refused is not None
                if after == AFTER:
                    break
            elif refused is None:
                refused = reply.error
                filler.unlink()
            else:
                await asyncio.sleep(0.01)
        else:
            raise RuntimeError("the disk was never full")
    return answered


def _answered(path: Path) -> list[str]:
    """The sessions of the turns that were answered."""
    events = map(json.loads, path.read_text().splitlines())
    return [one["session"] for one in events if one["type"] == "turn" and one["data"]["outcome"] == "answered"]


if __name__ == "__main__":
    command(__doc__, run, 3)
