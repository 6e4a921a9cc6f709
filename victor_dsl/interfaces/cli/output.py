"""Where output goes: documents to stdout, text about them to stderr, colour to terminals alone."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from victor_dsl.errors import EXIT_OK, VictorError
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import orjson

    from victor_dsl.source import excerpt
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


def report(error: VictorError | None) -> int:
    """Prints an error, where there is one; the exit code."""
    if error is None:
        return EXIT_OK
    say(error_line(str(error)))
    return error.exit_code


def replace_file(name: str, data: bytes) -> None:
    """Writes a file in one step. One that is there keeps its permissions; of a link, the file that it names is written."""
    target = os.path.realpath(name)
    handle, new = tempfile.mkstemp(dir=os.path.dirname(target), prefix=f".{os.path.basename(target)}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            try:
                status = os.stat(target)
            except FileNotFoundError:
                mask = os.umask(0)
                os.umask(mask)
                os.fchmod(file.fileno(), 0o666 & ~mask)
            else:
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
                with suppress(PermissionError):  # only some users may leave a file to another
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        os.replace(new, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
