"""Whether turns get the last good texts while files are saved, truncated, broken, deleted and restored under load.

    python -m tests.last_good --rounds 500

A spec takes one text from each kind of file. In each round every file goes through all of these states, while turns run. No turn
may fail, and what the model is sent must be what the turn's plan covers: the digest must be that of a compilation of exactly
the texts that were sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from unittest.mock import patch

from attrs import define, field, frozen

import victor_dsl
from victor_dsl.errors import VictorError
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Reply
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Handler, Turn

SPEC = """\
victor: 1
name: live
models: {main: {type: echo, context_window: 8000}}
vars: {spec: VERSION}
providers: [{type: file, path: settings.yml, watch: true}]
middleware: [{type: function, around: model, function: "tests.last_good:record"}]
exporters: [{type: jsonl, path: events.jsonl}]
contributors:
  - {type: file, path: file.md}
  - {type: standards, optional: true}
  - {type: text, text: "${file:reference.txt}"}
  - {type: template, name: spec, template: "spec {{ spec }}"}
  - {type: template, name: root, path: prompts/root.j2}
messages:
  - {role: user, path: prompts/example.j2}
  - {role: assistant, text: All right.}
message: {path: prompts/message.j2}
"""


@frozen
class Kind:
    """A file; `text` is written with a version in place of VERSION, `broken` is no valid content."""

    path: str
    text: str
    broken: bytes


KINDS: Mapping[str, Kind] = {
    "spec": Kind("victor.yml", SPEC, b"victor: 1\nname: [\n"),
    "file": Kind("file.md", "file VERSION", b"\xff"),
    "standards": Kind(".victor/standards.md", "standards VERSION", b"\0"),
    "reference": Kind("reference.txt", "reference VERSION", b"\xff"),
    "template": Kind(
        "prompts/root.j2",
        "template VERSION {% extends 'frame.j2' %}{% from 'macros.j2' import m %}"
        "{% block a %}{{ m() }} {% include 'part.j2' %} template VERSION{% endblock %}",
        b"{% if %}",
    ),
    "included": Kind("prompts/part.j2", "included VERSION", b"{{ nobody }}"),
    "imported": Kind("prompts/macros.j2", "{% macro m() %}imported VERSION{% endmacro %} ", b"{{ 'a' | nothing }}"),
    "extended": Kind("prompts/frame.j2", "extended VERSION {% block a %}{% endblock %}", b"{% block a %}"),
    "example": Kind("prompts/example.j2", "example VERSION", b"{{ message }}"),
    "message": Kind("prompts/message.j2", "message VERSION: {{ message }}", b"{{ message"),
    "values": Kind("settings.yml", "vars: {provided: VERSION}", b"vars: [\n"),
}

SEEN = re.compile(r"(\w+) (\d+)")


@define
class Findings:
    """What was sent under each digest, and what went wrong."""

    rounds: int = 0
    changes: int = 0
    turns: int = 0
    failed: list[str] = field(factory=list)
    sent: dict[str, set[str]] = field(factory=dict)
    wrong: list[str] = field(factory=list)
    reloads: int = 0
    errors: int = 0

    def table(self) -> str:
        """The findings, one a line."""
        agreeing = len(self.sent) - len(self.wrong)
        lines = [
            f"rounds                       {self.rounds}, {len(KINDS)} kinds of files, {self.changes} changes",
            f"turns                        {self.turns}, failed: {len(self.failed)}",
            f"plans that answered          {len(self.sent)}",
            f"digests equal to contents    {agreeing} ({agreeing / max(len(self.sent), 1):.1%})",
            f"events                       reload: {self.reloads}, error: {self.errors}",
        ]
        return "\n".join([*lines, *self.failed[:5], *self.wrong[:5], ""])


findings = Findings()


async def record(turn: Turn, handler: Handler) -> Reply:
    """Middleware that notes what the model is sent under which digest."""
    sent = [turn.system or "", *(message.text() for message in turn.with_examples().messages)]
    findings.sent.setdefault(turn.plan, set()).add("\n".join(sent))
    if "provided" not in turn.vars:
        findings.failed.append("a turn lacks the values of the provider")
    return await handler(turn)


def write(folder: Path, versions: Mapping[str, int]) -> None:
    """Writes every file in its version."""
    for name, kind in KINDS.items():
        path = folder / kind.path
        path.parent.mkdir(exist_ok=True)
        path.write_text(kind.text.replace("VERSION", str(versions[name])))


async def change(folder: Path, version: int, pause: Iterator[float]) -> None:
    """Takes every file through its states: saved in place, truncated, saved by rename, broken, deleted, restored."""
    for kind in random.sample(list(KINDS.values()), len(KINDS)):
        path, text = folder / kind.path, kind.text.replace("VERSION", str(version)).encode()
        for state in (text, b"", text.replace(b"victor: 1", b"victor:  1"), kind.broken, None, text):
            if state is None:
                path.unlink()
            elif state == text:
                path.write_bytes(state)
            else:
                path.with_suffix(".new").write_bytes(state)
                path.with_suffix(".new").replace(path)
            findings.changes += 1
            await asyncio.sleep(next(pause))


async def load(orchestrator: Orchestrator, done: asyncio.Event) -> None:
    """Turns, one after the other, until it is done."""
    while not done.is_set():
        answer = await orchestrator.answer(Request(message="hi"))
        findings.turns += 1
        if answer.error is not None:
            findings.failed.append(str(answer.error))
        await asyncio.sleep(0.01)


async def run(folder: Path, rounds: int, *, tasks: int = 4) -> None:
    """Changes the files while turns run."""
    write(folder, dict.fromkeys(KINDS, 0))
    pause = iter(lambda: random.choice((0.0, 0.004, 0.015, 0.03)), None)
    done = asyncio.Event()
    async with victor_dsl.open(folder / "victor.yml", watch=True) as orchestrator, asyncio.TaskGroup() as group:
        for _ in range(tasks):
            group.create_task(load(orchestrator, done))
        for version in range(1, rounds + 1):
            await change(folder, version, pause)
            findings.rounds = version
        done.set()
    with (folder / "events.jsonl").open() as lines:
        types = Counter(json.loads(line)["type"] for line in lines)
    findings.reloads, findings.errors = types["reload"], types["error"]


def compare(folder: Path) -> None:
    """Compiles the texts that each plan sent, and compares the digests."""
    for digest, texts in findings.sent.items():
        versions = {name: int(version) for text in texts for name, version in SEEN.findall(text)}
        write(folder, {"values": 0, **versions})
        try:
            program = victor_dsl.load(folder / "victor.yml")
        except VictorError as error:
            findings.wrong.append(f"{digest[:12]}: {error}")
            continue
        if len(texts) != 1 or program.plan_for(None, {}).digest != digest:
            findings.wrong.append(f"{digest[:12]} sent {texts}")


def last_good(rounds: int) -> Findings:
    """The findings of so many rounds, with a watcher that looks often."""
    globals()["findings"] = Findings()
    random.seed(rounds)
    logging.getLogger("victor_dsl").addHandler(logging.NullHandler())
    logging.getLogger("victor_dsl").propagate = False
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as other,
        patch("victor_dsl.interfaces.watching.LOOK_SECONDS", 0.005),
        patch("victor_dsl.interfaces.watching.SETTLE_SECONDS", 0.002),
        patch("victor_dsl.components.providers.file.CHECK_SECONDS", 0.01),
    ):
        asyncio.run(run(Path(folder), rounds))
        compare(Path(other))
    return findings


def main() -> int:
    """Runs the rounds; exits 1 when a turn failed or a digest did not cover what was sent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    found = last_good(parser.parse_args().rounds)
    sys.stdout.write(found.table())
    return 1 if found.failed or found.wrong else 0


if __name__ == "__main__":
    sys.modules["tests.last_good"] = sys.modules["__main__"]  # the spec names the module whose findings these are
    sys.exit(main())
