"""What became of the events of a run with faults, and the table of it."""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from attrs import frozen

from victor_dsl.values.event import Event

HEAD = """\
| fault | written | delivered | put aside | lost | doubled |
| --- | ---: | ---: | ---: | ---: | ---: |
"""


@frozen
class Outcome:
    """How many events were written and delivered, how many were put aside or damaged by the fault itself, and how many are missing."""

    written: int
    delivered: int
    aside: int
    lost: int
    doubled: int

    @property
    def is_good(self) -> bool:
        """Whether something was delivered, nothing is missing, and nothing is there twice."""
        return self.delivered > 0 and self.lost == 0 and self.doubled == 0


Run = Callable[[int, Path, random.Random], Mapping[str, Outcome]]
"""Makes faults so many times in a folder; returns an outcome for each sort of fault."""


def outcome(written: Iterable[str], delivered: Iterable[str], aside: Iterable[str] = ()) -> Outcome:
    """Compares the ids of what was written with those of what arrived. What arrived and was never written counts as doubled."""
    wanted, found, apart = set(written), Counter(delivered), set(aside)
    lost = wanted - set(found) - apart
    doubled = sum(number - 1 for number in found.values()) + len(set(found) - wanted) + len(apart & set(found))
    return Outcome(len(wanted), len(wanted & set(found)), len(apart), len(lost), doubled)


def in_lines(path: Path, prefix: str = "") -> list[str]:
    """The ids of the events in a file of JSON lines that begin with a prefix."""
    if not path.exists():
        return []
    ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    return [id for id in ids if id.startswith(prefix)]


def in_table(path: Path, prefix: str = "") -> list[str]:
    """The ids of the events in an SQLite database that begin with a prefix."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT event_id FROM analytics_events WHERE event_id LIKE ?"
        return [id for (id,) in database.execute(query, (f"{prefix}%",))]


def event(id: str, **data: object) -> Event:
    """An event with that id."""
    return Event(id, "error", 1_700_000_000.0, "s", None, "faults", "", {}, data)


def command(doc: str | None, run: Run, times: int) -> None:
    """The command of a module: makes the faults, and prints the table. Ends with 1 where something is lost or doubled."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=times, help=f"how many times each fault is made ({times})")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.times, Path(folder), random.Random(options.seed))
    sys.stdout.write(HEAD)
    for name, one in found.items():
        cells = (one.written, one.delivered, one.aside, one.lost, one.doubled)
        sys.stdout.write(f"| {name} | {' | '.join(map(str, cells))} |\n")
    sys.exit(not all(one.is_good for one in found.values()))
