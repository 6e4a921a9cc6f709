"""Where output goes: documents and replies to stdout, text about them to stderr, colour to terminals alone."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, TextIO

import click

from victor_dsl.errors import EXIT_OK, VictorError
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import orjson

    from victor_dsl.source import excerpt
    from victor_dsl.values.message import Delta, Reply
else:
    orjson = Lazy("orjson")
    excerpt = Lazy("victor_dsl.source.excerpt")

_CONTROLS: dict[int, str | None] = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}")
_CONTROLS |= {ord("\t"): "\t", ord("\n"): "\n", ord("\r"): None}


def say(text: str) -> None:
    """Prints a line for people, on stderr.

    Not by `click.echo`: it writes past what stands in for `sys.stderr` while a progress bar, a prompt or a reply is shown.
    """
    sys.stderr.write((text if is_colourful(sys.stderr) else click.unstyle(text)) + "\n")
    sys.stderr.flush()


def error_line(text: str) -> str:
    """`error: …`, its first word in red on a colour terminal."""
    return f"{click.style('error:', fg='red', bold=True)} {harmless(text)}"


def warning_line(text: str) -> str:
    """`warning: …`, its first word in yellow on a colour terminal."""
    return f"{click.style('warning:', fg='yellow', bold=True)} {harmless(text)}"


def harmless(text: str, indent: str = "") -> str:
    """A text that others had a part in, such as a server: whatever could drive a terminal is written as an escape. `indent` begins all
    lines but the first."""
    return f"\n{indent}".join(excerpt.printable(line.expandtabs()) for line in text.split("\n"))


def is_colourful(stream: TextIO) -> bool:
    """Whether a stream shows colour: a terminal, with neither `NO_COLOR` nor `TERM=dumb`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def count_of(number: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def print_json(document: Any, *, indent: bool = True) -> None:
    """Prints one JSON document on stdout; indented, it is for people too."""
    option = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    click.echo(orjson.dumps(document, option=option, default=str))


def without_controls(text: str) -> str:
    """A model's text for a terminal: all control characters but tab and line break are replaced, so that none drives it."""
    return text.translate(_CONTROLS)


class Page:
    """Where replies are shown: streamed and without control characters on a terminal, whole and unchanged elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self.streams = self._stream.isatty()
        self._shown: list[str] = []

    async def emit(self, delta: Delta) -> None:
        """Shows a piece of a reply, or takes back what was shown of it. Thoughts are not shown."""
        if delta.restart:
            self._take_back()
        if delta.text:
            text = without_controls(delta.text)
            self._write(text)
            self._shown.append(text)

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
        if self._shown:
            self._write("\n")
        self._shown.clear()

    def _take_back(self) -> None:
        """Erases the reply so far; a terminal that cannot do that goes on in a new line."""
        if self._shown and os.environ.get("TERM") == "dumb":
            self._write("\n")
        elif self._shown:
            up = _rows("".join(self._shown), shutil.get_terminal_size().columns) - 1
            self._write("\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J")
        self._shown.clear()

    def _finish(self, reply: str) -> None:
        """Shows a reply, unless it was streamed, and ends its line."""
        if not self._shown:
            self._write(without_controls(reply) if self.streams else reply)
        self._write("\n")
        self._shown.clear()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _rows(text: str, width: int) -> int:
    """How many rows of a terminal a text takes that begins in the first column."""
    cells = (sum(map(_cells, line.expandtabs())) for line in text.split("\n"))
    return sum(max(1, -(-count // max(1, width))) for count in cells)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def report(error: VictorError | None) -> int:
    """Prints an error, where there is one; the exit code."""
    if error is None:
        return EXIT_OK
    say(error_line(str(error)))
    return error.exit_code
