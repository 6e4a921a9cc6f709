"""The canonical layout of a JSON file. Numbers and texts stay as they are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from attrs import define

from victor_dsl.source.layout import STEP, Rank

WIDTH = 100
"""A list or map of plain values stays on one line up to this column."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def layout_json(text: str, rank: Rank | None = None) -> str:
    """A JSON file in its canonical layout. Reading `text` finds no errors. With a `rank` the keys at the top are put in order."""
    tokens: Iterator[str] = iter(_TOKEN.findall(text.removeprefix("\ufeff")))
    whole = _read(next(tokens), tokens)
    if rank is not None and isinstance(whole, _Inside) and whole.brackets == "{}":
        whole.entries.sort(key=lambda entry: rank(json.loads(entry[0])))
    return _written(whole, 0) + "\n"


@define
class _Inside:
    """A list or map: its entries, each a key (in a list an empty text) and a value."""

    brackets: str
    entries: list[tuple[str, str | _Inside]]


def _read(first: str, tokens: Iterator[str]) -> str | _Inside:
    if first not in ("{", "["):
        return first
    found = _Inside("{}" if first == "{" else "[]", [])
    while (word := next(tokens)) not in ("}", "]"):
        if word == ",":
            continue
        key = ""
        if first == "{":
            key, _, word = word, next(tokens), next(tokens)
        found.entries.append((key, _read(word, tokens)))
    return found


def _written(value: str | _Inside, column: int) -> str:
    if isinstance(value, str):
        return value
    opening, closing = value.brackets[0], value.brackets[1]
    if all(isinstance(child, str) or not child.entries for _, child in value.entries):
        line = opening + ", ".join(_entry(key, child, 0) for key, child in value.entries) + closing
        if column + len(line) <= WIDTH:
            return line
    inner = column + STEP
    lines = ",\n".join(" " * inner + _entry(key, child, inner) for key, child in value.entries)
    return f"{opening}\n{lines}\n{' ' * column}{closing}"


def _entry(key: str, value: str | _Inside, column: int) -> str:
    return f"{key}: {_written(value, column)}" if key else _written(value, column)
