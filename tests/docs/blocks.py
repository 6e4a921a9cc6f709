"""The code blocks of a page, and the output of running them.

A page is one story: its blocks run in order in one folder. `<!-- file: NAME -->` above a block writes it there; a YAML
block that begins with `victor: 1` is `victor.yml` unless it says otherwise. In a console block every line with `$ ` is
run by a shell, and the lines below it are all that it prints, where `…` stands for anything. `<!-- $ COMMAND -->` above
any other block says that the block is what the command prints.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@frozen
class Block:
    """One code block; `note` is the comment directly above it."""

    language: str
    text: str
    note: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block is."""
        if self.note.startswith("file: "):
            return self.note.removeprefix("file: ")
        return "victor.yml" if self.language == "yaml" and self.text.startswith("victor: 1\n") else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """The commands of the block, each with its expected output."""
        if self.note.startswith("$ "):
            yield self.note.removeprefix("$ "), self.text
        if self.language == "console":
            for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield command, output


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["language"], m["text"], m["note"] or "", text.count("\n", 0, m.start()) + 1)
        for m in _BLOCK.finditer(text)
    ]


def run(command: str, folder: Path, python: Path) -> str:
    """What a command prints, on stdout and stderr as a terminal shows them. `victor` is the one beside `python`."""
    path = os.pathsep.join([str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def matches(expected: str, printed: str) -> bool:
    """Whether a text matches a page, where `…` stands for anything on its line, and a line `…` for any lines."""
    lines = ("(?:.*\n)*?" if line == "…" else _pattern(line) + "\n" for line in expected.splitlines())
    return re.fullmatch("".join(lines), printed.rstrip("\n") + "\n" if printed.strip() else "") is not None


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("…")))
