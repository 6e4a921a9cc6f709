"""Whether one row that the database refuses costs others: a row in every position of a batch, in a real SQLite table.

python -m tests.faults.poison --times 50
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import victor_dsl
from tests.faults._counting import Outcome, command, event, in_table, outcome
from victor_dsl.runtime.delivery.dead_letters import DeadLetters

SPEC = """\
victor: 1
name: poison
models: {main: {type: echo, context_window: 8000}}
databases: {app: {type: sqlite, path: events.db}}
exporters: [{type: sqlite, database: app, batch_size: SIZE, flush_seconds: 0.05}]
"""
TRIGGER = """\
CREATE TRIGGER poison BEFORE INSERT ON analytics_events WHEN NEW.event_data LIKE '%poison%'
BEGIN SELECT RAISE(ABORT, 'this row is refused'); END
"""


def run(times: int, folder: Path, chance: random.Random) -> Mapping[str, Outcome]:
    """A batch of so many rows for each position in it, with the row there refused."""
    return {"a poison row in every position": asyncio.run(_run(times, folder))}


async def _run(size: int, folder: Path) -> Outcome:
    spec = folder / "victor.yml"
    spec.write_text(SPEC.replace("SIZE", str(size)))
    async with victor_dsl.open(spec):
        pass
    with closing(sqlite3.connect(folder / "events.db")) as database:
        database.execute(TRIGGER)
    written = []
    async with victor_dsl.open(spec) as app:
        for position in range(size):
            for place in range(size):
                id = f"p-{position}-{place}"
                written.append(id)
                app._delivery.put(event(id, **{"poison": True} if place == position else {}))
            app._delivery.flush()
    letters = DeadLetters(folder / ".victor")
    aside = [letter.event.id for letter in await letters.read(most=size * size)]
    await letters.close()
    assert all(id.split("-")[1] == id.split("-")[2] for id in aside), "only the refused rows are put aside"
    return outcome(written, in_table(folder / "events.db", "p-"), [id for id in aside if id.startswith("p-")])


if __name__ == "__main__":
    command(__doc__, run, 50)
