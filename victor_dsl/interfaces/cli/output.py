"""Where output goes: machine output to stdout alone, words for people to stderr, colour to terminals alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

import click


def say(text: str) -> None:
    """A line for people, on stderr."""
    click.echo(text, err=True, color=colourful(sys.stderr))


def error_line(text: str) -> str:
    """`error: …`, its first word in red where there is colour."""
    return f"{click.style('error:', fg='red', bold=True)} {text}"


def warning_line(text: str) -> str:
    """`warning: …`, its first word in yellow where there is colour."""
    return f"{click.style('warning:', fg='yellow', bold=True)} {text}"


def colourful(stream: TextIO) -> bool:
    """Whether a stream takes colour: a terminal, with neither `NO_COLOR` nor `TERM=dumb`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def counted(number: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def pairs(values: Iterable[str], option: str) -> Mapping[str, str]:
    """What a repeated `--option key=value` says. Raises UsageError."""
    found: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{option} takes key=value, not '{value}'")
        if key in found:
            raise click.UsageError(f"{option} gives '{key}' twice")
        found[key] = text
    return found
