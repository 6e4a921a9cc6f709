"""Shows replies and tool calls: streamed on a terminal, whole and unchanged elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

import click
from attrs import define

from victor_dsl.interfaces.cli.output import harmless, is_colourful, print_json, report, say, without_controls
from victor_dsl.interfaces.cli.terminal import written_above
from victor_dsl.lazy import Lazy
from victor_dsl.values.message import Delta, Reply, ToolCall, ToolResult

if TYPE_CHECKING:
    from victor_dsl.source import redaction
else:
    redaction = Lazy("victor_dsl.source.redaction")

LONGEST_ARGUMENT = 60
"""How many characters of a tool's argument are shown."""

READ_CHARACTERS = 2_000
"""How much of it is read: secrets in it are hidden before it is cut."""


@define
class _Running:
    """A tool call in the block of those that run: what was called, and how it ended."""

    what: str
    ended: str = ""

    def line(self) -> str:
        return f"{self.what} … {self.ended}".rstrip()


class Page:
    """Where replies are shown. On a terminal nothing is written into the middle of a reply: what others write appears above it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self.streams = self._stream.isatty()
        self._moves = os.environ.get("TERM") != "dumb"  # the terminal can erase what it shows
        self._shown: list[str] = []  # of the reply, what can be taken back
        self._held = ""  # what waits for the end of the reply's line
        self._calls: dict[str, _Running] = {}  # shown in the last lines, while some of them run
        self._lock = threading.RLock()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While it is entered, lines that others write to the terminal do not run into the reply."""
        with written_above(self) if self.streams else nullcontext():
            try:
                yield
            finally:
                self.break_off()

    async def emit(self, delta: Delta) -> None:
        """Shows a piece of a reply or a tool call, or takes back what was shown of a reply. Thoughts are not shown."""
        with self._lock:
            if delta.restart:
                self._take_back()
            if delta.tool_call is not None:
                self._begin_call(delta.tool_call)
            elif delta.tool_result is not None:
                self._end_call(delta.tool_result)
            elif delta.text:
                self._calls.clear()
                self._show(without_controls(delta.text))

    def show(self, answer: Reply, *, as_json: bool) -> int:
        """Shows an answer's reply, or its reply line; an error goes to stderr. The exit code."""
        if as_json:
            print_json(answer.to_dict(), indent=False)
        elif answer.error:
            self.break_off()
        else:
            self._finish(answer.text)
            if answer.stop_reason != "stop":
                say(f"(the reply ended early: {answer.stop_reason})")
        return report(answer.error)

    def break_off(self) -> None:
        """Ends the line of a reply that stopped half-way."""
        with self._lock:
            if self._is_in_a_line():
                self._write("\n")
            self._release()

    def above(self, lines: str) -> None:
        """Shows lines above the tool calls that run; within a reply, after its line."""
        with self._lock:
            if self._calls:
                self._erase(len(self._calls))
                self._write(lines + self._block())
            elif self._is_in_a_line():
                self._held += lines
            else:
                self._shown.clear()
                self._write(lines)

    def _show(self, text: str) -> None:
        head, line_break, rest = text.rpartition("\n")
        if line_break and self._held:
            self._write(head + line_break)
            self._release()
            text = rest
        if text:
            self._write(text)
            self._shown.append(text)

    def _is_in_a_line(self) -> bool:
        return bool(self._shown) and not self._shown[-1].endswith("\n")

    def _release(self) -> None:
        """Shows what was held back. What is above it cannot be taken back any more."""
        held, self._held = self._held, ""
        self._shown.clear()
        self._calls.clear()
        if held:
            self._write(held)

    def _begin_call(self, call: ToolCall) -> None:
        running = dict(self._calls)
        if any(not each.ended for each in running.values()):
            self._calls[call.id] = _Running(called(call))
            self._write(self._line(self._calls[call.id]))
            return
        self.break_off()
        self._calls = {call.id: _Running(called(call))}
        self._write(self._block())

    def _end_call(self, result: ToolResult) -> None:
        ended = f"{'ok' if result.ok else 'failed'}, {result.latency_ms / 1000:.1f} s"
        running = self._calls.get(result.id)
        if running is None or not self._moves:
            self._write(self._dim(f"⚙ {result.name}: {ended}\n"))
        else:
            running.ended = ended
            self._erase(len(self._calls))
            self._write(self._block())
        if running is not None:
            running.ended = ended

    def _block(self) -> str:
        return "".join(map(self._line, self._calls.values()))

    def _line(self, running: _Running) -> str:
        """One row of the terminal; where it is too narrow, the end of the call's arguments is left out."""
        room = max(10, shutil.get_terminal_size().columns - 1)
        tail = f" … {running.ended}".rstrip()
        what = f"⚙ {running.what}"
        if _width(what + tail) > room:
            while what and _width(what + tail) > room:
                what = what[:-1]
        return self._dim(what + tail) + "\n"

    def _dim(self, text: str) -> str:
        return click.style(text, dim=True) if is_colourful(self._stream) else text

    def _erase(self, rows: int) -> None:
        if self._moves:
            self._write(f"\r\x1b[{rows}A\x1b[J")

    def _take_back(self) -> None:
        """Erases the reply so far; a terminal that cannot do that goes on in a new line."""
        if self._shown and not self._moves:
            self._write("\n")
        elif self._shown:
            up = _rows("".join(self._shown), shutil.get_terminal_size().columns) - 1
            self._write("\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J")
        self._release()

    def _finish(self, reply: str) -> None:
        """Shows a reply, unless it was streamed, and ends its line."""
        with self._lock:
            if not self._shown:
                self._write(without_controls(reply) if self.streams else reply)
            self._write("\n")
            self._release()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def called(call: ToolCall) -> str:
    """A call for people: `lookup_order(order=4711)`. Secrets in it are hidden, and nothing in it can drive the terminal."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if isinstance(arguments, Mapping):
        shown = ", ".join(
            f"{name}={_short(json.dumps(value, ensure_ascii=False))}" for name, value in arguments.items()
        )
    else:
        shown = _short(call.arguments)
    return harmless(f"{call.name}({shown})".replace("\n", " "))


def _short(text: str) -> str:
    text = redaction.redacted(text[:READ_CHARACTERS])
    return text if len(text) <= LONGEST_ARGUMENT else f"{text[: LONGEST_ARGUMENT - 1]}…"


def _rows(text: str, columns: int) -> int:
    """How many rows of a terminal a text takes that begins in the first column."""
    return sum(max(1, -(-_width(line.expandtabs()) // max(1, columns))) for line in text.split("\n"))


def _width(line: str) -> int:
    """How many columns a line takes."""
    return sum(map(_cells, line))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
