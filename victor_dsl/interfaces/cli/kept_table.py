"""What compaction did to each message, as a table for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from victor_dsl.interfaces.cli.output import counted
from victor_dsl.interfaces.cli.terminal import harmless
from victor_dsl.source.veil import hidden
from victor_dsl.values.message import Message
from victor_dsl.values.outcome import Explained, Rendered

COLUMNS = 120
"""The width where there is no terminal."""
WHY = 60
"""The longest reason that is shown."""
LOOKED_AT = 2_000
"""How many characters of a message are looked at for its first words: secrets in them are hidden before they are cut."""


def kept_table(rendered: Rendered) -> Iterator[str]:
    """A line that says what was done, then one for each message of the input. Texts are cut, harmless and without secrets."""
    yield _heading(rendered)
    if rendered.mending is not None:
        closed, left_out = rendered.mending.closed, rendered.mending.left_out
        if closed:
            yield f"tool calls without a result, closed by a stand-in, in: {', '.join(map(str, closed))}"
        if left_out:
            yield f"results without a call, left out: {', '.join(map(str, left_out))}"
    rows = rendered.explained
    if not rows:
        return
    indices = max(len("index"), len(str(rows[-1].index)))
    tokens = max(len("tokens"), *(len(f"{row.tokens:,}") for row in rows))
    why = max(len("why"), *(len(_line(row.why, WHY)) for row in rows))
    start = f"{'index':>{indices}}  {'role':9}  {'tokens':>{tokens}}  kept  {'why':{why}}  "
    yield f"{start}text"
    room = max(_columns() - len(start), 20)
    for row in rows:
        mark = "yes" if row.kept else "no"
        about = f"{row.index:>{indices}}  {row.message.role:9}  {row.tokens:>{tokens},}  {mark:4}  {_line(row.why, WHY):{why}}"
        yield click.style(f"{about}  {_first_words(row.message, room)}".rstrip(), dim=None if row.kept else True)


def _heading(rendered: Rendered) -> str:
    kept, tokens = _sums([row for row in rendered.explained if row.kept])
    messages, before = _sums(rendered.explained)
    about = f"{kept} of {counted(messages, 'message')} kept, {tokens:,} of {before:,} tokens"
    record = rendered.compaction
    if record is None:
        return f"{about}; nothing had to be compacted"
    stands_in = ", which stood in for one that failed" if record.fallback else ""
    return f"{about}; by {record.type}{stands_in}, aiming at {record.target:,}"


def _sums(rows: tuple[Explained, ...] | list[Explained]) -> tuple[int, int]:
    return len(rows), sum(row.tokens for row in rows)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal, or no file
        return COLUMNS


def _first_words(message: Message, room: int) -> str:
    text = message.text()[:LOOKED_AT]
    if not text.strip():
        text = ", ".join(f"{call.name}({call.arguments[:LOOKED_AT]})" for call in message.tool_calls[:9])
    return _line(text, room)


def _line(text: str, room: int) -> str:
    line = harmless(" ".join(hidden(text).split()))
    return line if len(line) <= room else f"{line[: room - 1]}…"
