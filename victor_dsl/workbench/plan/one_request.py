"""One request as both sides render it, for a terminal: side by side where there is room, else one below the other."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

import click

from victor_dsl.source.excerpt import printable

WIDE = 120
"""The columns from which two sides have room beside each other."""

_SAME, _OLD, _NEW = " ", "-", "+"
_COLOURS = {_OLD: "red", _NEW: "green"}

Json = Mapping[str, Any]
Line = tuple[str, str]


def one_request(old: Json, new: Json, columns: int) -> Iterator[str]:
    """Every part of the request that the model is sent, with what differs marked."""
    parts = (
        ("System prompt", _system(old), _system(new)),
        ("Messages", _messages(old), _messages(new)),
        ("Tools", list(old["sent_tools"]), list(new["sent_tools"])),
        ("Settings", _settings(old), _settings(new)),
    )
    for title, before, after in parts:
        if before or after:
            same = "" if before != after else click.style("  (the same)", dim=True)
            yield click.style(title, bold=True) + same
            yield from _part(before, after, columns)
            yield ""
    counts = [f"{side['tokens']['total']:,}" for side in (old, new)]
    yield f"Tokens: {counts[0]} → {counts[1]}"
    for name, side in (("old", old), ("new", new)):
        if side["error"] is not None:
            yield click.style(f"error of the {name} spec: {safe(side['error']['message'])}", fg="red")
    yield ""


def _system(side: Json) -> list[str]:
    return str(side["system"]).splitlines()


def _messages(side: Json) -> list[str]:
    return [line for message in side["messages"] for line in _message(message)]


def _message(message: Json) -> Iterator[str]:
    content = message.get("content")
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in message.get("tool_calls", ())]
    yield from f"{message['role']}: {text}".splitlines()
    yield from (f"{message['role']} calls {call}" for call in calls)


def _settings(side: Json) -> list[str]:
    return [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in sorted(side["settings"].items())]


def _part(old: Sequence[str], new: Sequence[str], columns: int) -> Iterator[str]:
    if columns >= WIDE and old != new:
        yield from _beside(old, new, (columns - 5) // 2)
        return
    for sign, line in _marked(old, new):
        for row in _rows(line, columns - 4):
            yield "  " + click.style(f"{sign} {row}", fg=_COLOURS.get(sign))


def _marked(old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from ((_SAME, line) for line in old[i:j])
        else:
            yield from ((_OLD, line) for line in old[i:j])
            yield from ((_NEW, line) for line in new[k:m])


def _beside(old: Sequence[str], new: Sequence[str], width: int) -> Iterator[str]:
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for left, right in zip_longest(old[i:j], new[k:m]):
            rows = zip_longest(_rows(left, width - 2), _rows(right, width - 2), fillvalue="")
            for before, after in rows:
                one = _cell(before, _OLD if tag != "equal" and left is not None else _SAME, width)
                other = _cell(after, _NEW if tag != "equal" and right is not None else _SAME, width).rstrip()
                yield f" {one} │ {other}".rstrip()


def _cell(text: str, sign: str, width: int) -> str:
    return click.style(f"{sign} {text}".ljust(width), fg=_COLOURS.get(sign))


def _rows(line: str | None, width: int) -> list[str]:
    """A line in rows that fit."""
    if line is None:
        return []
    return textwrap.wrap(safe(line), width, drop_whitespace=False, break_on_hyphens=False) or [""]


def safe(text: str) -> str:
    """A text that cannot drive a terminal."""
    return printable(text.expandtabs())
