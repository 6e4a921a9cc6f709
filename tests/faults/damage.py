"""Whether a journal that was truncated, or in which bits have flipped, costs more than the damaged records.

    python -m tests.faults.damage --times 200

Each time a journal that a process has left is damaged in a random place, and delivered by the next one. The records in which
the damage lies are counted as put aside.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import victor_dsl
from tests.faults._counting import Outcome, command, event, in_lines, outcome
from victor_dsl.graph.plan import JournalPolicy
from victor_dsl.runtime.delivery.journal import Journal, journal_root
from victor_dsl.runtime.nodes import SystemClock
from victor_dsl.storage.journal.segments import path_of

SPEC = """\
victor: 1
name: damage
models: {main: {type: echo, context_window: 8000}}
exporters: [{type: jsonl, path: events.jsonl, flush_seconds: 0.01}]
"""
EVENTS = 200

Places = Mapping[str, tuple[int, int]]
"""Where the record of each event lies: the offsets of its beginning and its end."""


def run(times: int, folder: Path, chance: random.Random) -> Mapping[str, Outcome]:
    """Damages so many journals in each way."""
    faults: dict[str, Callable[[Path, random.Random], tuple[int, int]]] = {
        "a bit flipped": _flip,
        "a stretch overwritten": _overwrite,
        "truncated": _truncate,
    }
    found = {
        f"journal: {name}": _sum(times, folder / name.split()[-1], chance, damage) for name, damage in faults.items()
    }
    return {**found, "cursor: bits flipped": _sum(times, folder / "cursor", chance, None)}


def _sum(
    times: int, folder: Path, chance: random.Random, damage: Callable[[Path, random.Random], tuple[int, int]] | None
) -> Outcome:
    written: list[str] = []
    arrived: list[str] = []
    aside: list[str] = []
    for number in range(times):
        one = folder / str(number)
        one.mkdir(parents=True)
        (one / "victor.yml").write_text(SPEC)
        places = asyncio.run(_leave(one, f"{number}-"))
        (segment,) = one.rglob("*.log")
        assert segment.name == path_of(segment.parent, 1).name
        hurt: set[str] = set()
        if damage is None:
            (cursor,) = one.rglob("*.cursor")
            content = bytearray(cursor.read_bytes())
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            cursor.write_bytes(content)
        else:
            first, last = damage(segment, chance)
            hurt = {id for id, (begin, end) in places.items() if begin < last and first < end}
        asyncio.run(_deliver(one))
        got = in_lines(one / "events.jsonl", f"{number}-")
        written += places
        arrived += got
        aside += hurt - set(got)  # where only a line break is damaged, the record is whole
    return outcome(written, arrived, aside)


async def _leave(folder: Path, prefix: str) -> Places:
    """A journal as a process leaves it that was killed before its exporter had anything."""
    journal = Journal(journal_root(folder / ".victor", "damage", "victor.yml"), JournalPolicy(), SystemClock())
    journal.feed("exporters/jsonl")
    places, begin = {}, 0
    for number in range(EVENTS):
        id = f"{prefix}{number}"
        (position,) = journal.append([event(id, text="x" * (number % 50))])
        places[id] = begin, position.offset
        begin = position.offset
    await journal.close()
    return places


async def _deliver(folder: Path) -> None:
    async with victor_dsl.open(folder / "victor.yml"):
        pass


def _flip(path: Path, chance: random.Random) -> tuple[int, int]:
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    return place, place + 1


def _overwrite(path: Path, chance: random.Random) -> tuple[int, int]:
    content = bytearray(path.read_bytes())
    first = chance.randrange(len(content))
    last = min(len(content), first + chance.randrange(1, 2_000))
    content[first:last] = chance.randbytes(last - first)
    path.write_bytes(content)
    return first, last


def _truncate(path: Path, chance: random.Random) -> tuple[int, int]:
    size = path.stat().st_size
    at = chance.randrange(size)
    os.truncate(path, at)
    return at, size


if __name__ == "__main__":
    command(__doc__, run, 200)
