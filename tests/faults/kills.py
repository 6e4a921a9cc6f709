"""Whether events are lost or doubled where processes are killed with `kill -9` at random points, or ended with SIGTERM.

    python -m tests.faults.kills --rounds 200

A round kills a batch, two batches of one spec at once, or a chat. At the end everything is resumed, and each reply that was seen must
have its `turn` event in every store exactly once. The table says what was written, delivered, lost and doubled.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from attrs import define, field

ROOT = Path(__file__).resolve().parents[2]
SPEC = """\
victor: 1
name: killed
models: {main: {type: echo, context_window: 8000}}
databases: {app: {type: sqlite, path: events.db}}
exporters:
  - {type: jsonl, path: events.jsonl, flush_seconds: 0.05}
  - {type: sqlite, database: app, flush_seconds: 0.2}
sessions: {type: sqlite, path: sessions.db}
"""
LINES = 3_000
"""The lines of each batch."""
HEAD = """\
| store | replies seen | turns stored | lost | doubled |
| --- | ---: | ---: | ---: | ---: |
"""
LONGEST_SECONDS = 1.6
"""When a process is killed, at the latest."""
SIGTERMS = 0.25
"""How many of the batches get a SIGTERM, under load."""


@define
class Count:
    """What became of the turns in one store."""

    seen: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0


@define
class Kills:
    """A folder whose processes are killed."""

    folder: Path
    chance: random.Random
    rounds: int = 0
    kills: int = 0
    chats: dict[str, int] = field(factory=dict)
    """How many replies each chat has shown, by session."""

    def prepare(self, spec: str = SPEC) -> None:
        """Writes the spec and the input of two batches."""
        (self.folder / "victor.yml").write_text(spec)
        for batch in "ab":
            lines = ({"id": f"{batch}{n}", "session": f"{batch}{n}", "message": f"m{n}"} for n in range(LINES))
            (self.folder / f"{batch}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    def round(self) -> None:
        """Kills once: a batch, a chat, or two batches at once."""
        kind = self.rounds % 3
        self.rounds += 1
        if kind == 1:
            self._kill_chat()
            return
        self._kill([self.start_batch(batch) for batch in ("ab" if kind == 2 else "a")])

    def finish(self) -> None:
        """Resumes both batches to their end, so that all is delivered."""
        for batch in "ab":
            done = self.start_batch(batch)
            done.communicate()
            if done.returncode != 0:
                raise RuntimeError(f"batch {batch} ended with {done.returncode}")

    def start_batch(self, batch: str) -> subprocess.Popen[bytes]:
        """A process that begins or resumes a batch."""
        return self._start("--input", f"{batch}.jsonl", "--output", f"{batch}.out", "--resume", "-q")

    def _kill_chat(self) -> None:
        session = f"chat{self.rounds}"
        chat = self._start("-q", "--session", session)
        assert chat.stdin is not None
        assert chat.stdout is not None
        wanted = self.chance.randrange(1, 30)
        for number in range(wanted):
            chat.stdin.write(b"hello %d\n" % number)
            chat.stdin.flush()
            if not chat.stdout.readline():
                break
            self.chats[session] = number + 1
        self.kills += 1
        chat.kill()
        chat.communicate()

    def _kill(self, processes: list[subprocess.Popen[bytes]]) -> None:
        end = time.monotonic() + 0.3 + self.chance.random() * (LONGEST_SECONDS - 0.3)
        while time.monotonic() < end and any(process.poll() is None for process in processes):
            time.sleep(0.002)
        for process in processes:
            self.kills += process.poll() is None
            process.send_signal(signal.SIGTERM if self.chance.random() < SIGTERMS else signal.SIGKILL)
            process.communicate()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "victor_dsl", "run", "victor.yml", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
        )

    def counts(self) -> dict[str, Count]:
        """What every store has of the turns whose replies were seen."""
        seen = dict(self.chats)
        for batch in "ab":
            lines = (self.folder / f"{batch}.out").read_text().splitlines()
            ids = Counter(json.loads(line)["session"] for line in lines)
            if ids != {f"{batch}{n}": 1 for n in range(LINES)}:
                raise RuntimeError(f"the output of batch {batch} has not every line once")
            seen |= ids
        return {name: _count(seen, turns) for name, turns in (("jsonl", self._lines()), ("sqlite", self._rows()))}

    def _lines(self) -> Iterator[tuple[str, str]]:
        for line in (self.folder / "events.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["type"] == "turn" and event["data"]["stop_reason"] == "stop":
                yield event["id"], event["session"]

    def _rows(self) -> Iterator[tuple[str, str]]:
        query = (
            "SELECT event_id, session_id FROM analytics_events "
            "WHERE event_type = 'turn' AND event_data->>'stop_reason' = 'stop'"
        )
        with closing(sqlite3.connect(self.folder / "events.db")) as database:
            yield from database.execute(query)


def _count(seen: dict[str, int], turns: Iterator[tuple[str, str]]) -> Count:
    ids, sessions = Counter[str](), Counter[str]()
    for id, session in turns:
        ids[id] += 1
        sessions[session] += ids[id] == 1
    count = Count(seen=sum(seen.values()), stored=sum(sessions.values()))
    for session, replies in seen.items():
        count.lost += max(0, replies - sessions[session])
        if not session.startswith("chat"):  # a chat may be killed between the event and the reply
            count.doubled += max(0, sessions[session] - replies)
    count.doubled += sum(number - 1 for number in ids.values())
    return count


def kills(rounds: int, folder: Path, seed: int = 7) -> Kills:
    """Kills so many times, and resumes."""
    run = Kills(folder, random.Random(seed))
    run.prepare()
    batch = 12  # so many kills, and the batches begin anew: they would be done
    while run.rounds < rounds:
        run.round()
        if run.rounds % batch == 0:
            _start_anew(run)
    run.finish()
    return run


def _start_anew(run: Kills) -> None:
    """Ends the batches, checks them, and lets the next ones have other sessions."""
    run.finish()
    for count in run.counts().values():
        if count.lost or count.doubled:
            return
    for name in ("a.out", "b.out", "events.jsonl"):
        (run.folder / name).unlink()
    for path in (*run.folder.glob("events.db*"), *run.folder.glob("sessions.db*")):
        path.unlink()
    run.chats.clear()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = kills(options.rounds, Path(folder), options.seed)
        counts = run.counts()
        rows = [f"| {name} | {one.seen} | {one.stored} | {one.lost} | {one.doubled} |" for name, one in counts.items()]
        sys.stdout.write(f"{run.kills} processes killed in {run.rounds} rounds\n{HEAD}" + "\n".join(rows) + "\n")
        faulty = any(one.lost or one.doubled for one in counts.values())
        sys.exit(faulty)


if __name__ == "__main__":
    main()
