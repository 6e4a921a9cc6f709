"""What a cursor stands on, also in YAML that is being typed: the path, and whether a key, a value or a text is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from _ruamel_yaml import CParser
from attrs import define, field, frozen
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from victor_dsl.source.located import Path
from victor_dsl.source.yaml12 import mask

MARK = "victorcursor"
MOST_REPAIRS = 8
"""How many broken lines above the cursor are skipped."""

_WORD = re.compile(r"[^\s\[\]{},:\"'#]*$")
_TOP = re.compile(r"[^\s#\-\]}]")
_TEMPLATE = re.compile(r"\{[{%](?:(?![}%]\}).)*$", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]*)*$|(?<=[\s{%(|,=])$")

Role = Literal["key", "value", "text"]


@frozen
class Cursor:
    """A reading of the cursor's place. Of a key, `path` is that of the map; of a value or a text its own.

    `siblings` are the plain values of the map around it that stand before it, `word` what is typed already, `expression` the
    part of a template expression before the cursor, where it is in one.
    """

    role: Role
    path: Path
    siblings: Mapping[str, str] = field(factory=dict)
    word: str = ""
    expression: str | None = None
    types: Mapping[Path, str] = field(factory=dict)
    """The `type` of every open map around it, as far as it stands before the cursor."""


def readings(text: str, line: int, character: int) -> list[Cursor]:
    """How the place before a character may be read: often as a key and as a value. Lines and characters count from 0."""
    lines = text.split("\n")
    if line >= len(lines):
        return []
    before = lines[line][:character]
    match = _WORD.search(before)
    word = match[0] if match else ""
    start = len(before) - len(word)
    if start and before[start - 1] in "\"'" and before[:start].rstrip("\"'").endswith((" ", "[", "{", ",", "-", ":")):
        start -= 1
    first = line
    while first and not _TOP.match(lines[first][:character] if first == line else lines[first]):
        first -= 1
    above = lines[first:line]
    found: list[Cursor] = []
    for end in ("", ": 0"):
        cursor = _reading(above, before[:start], end, word)
        if cursor is not None and cursor.role == ("key" if end else "value"):
            found.append(cursor)
    inside = (_reading(above, before, quote, "") for quote in ("", '"', "'"))  # a quoted text is not closed yet
    found += next(([one] for one in inside if one is not None and one.role == "text"), [])
    return found


def expression_before(text: str) -> str | None:
    """The name with its attributes that is being typed at the end of a template's text; None outside of `{{ … }}` and `{% … %}`."""
    opened = _TEMPLATE.search(text)
    if opened is None:
        return None
    name = _NAME.search(opened[0])
    return name[0] if name is not None else ""


@define
class _Frame:
    is_map: bool
    key: str | int | None = None
    pairs: dict[str, str] = field(factory=dict)


def _reading(above: Sequence[str], before: str, end: str, word: str) -> Cursor | None:
    lines = list(above)
    for _ in range(MOST_REPAIRS):
        try:
            return _found("\n".join([*lines, before + MARK + end]), word)
        except MarkedYAMLError as error:
            marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
            broken = [mark.line for mark in marks if mark.line < len(lines) and lines[mark.line].strip()]
            if not broken:
                return None
            lines[broken[0]] = ""
    return None


def _found(text: str, word: str) -> Cursor | None:
    parser = CParser(mask(text)[0])
    frames: list[_Frame] = []
    while not isinstance(event := parser.get_event(), StreamEndEvent):
        here = frames[-1] if frames else None
        if isinstance(event, ScalarEvent):
            if MARK in event.value:
                return _cursor(frames, event, word)
            if here is not None and here.is_map and here.key is None:
                here.key = event.value
                continue
            if here is not None and isinstance(here.key, str):
                here.pairs[here.key] = event.value
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            is_map = isinstance(event, MappingStartEvent)
            frames.append(_Frame(is_map, None if is_map else 0))
            continue
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            frames.pop()
            here = frames[-1] if frames else None
        elif not isinstance(event, AliasEvent):
            continue
        if here is not None:
            here.key = None if here.is_map else int(here.key or 0) + 1
    return None


def _cursor(frames: Sequence[_Frame], event: ScalarEvent, word: str) -> Cursor | None:
    path = tuple(frame.key for frame in frames if frame.key is not None)
    types = dict(_types(frames))
    siblings = frames[-1].pairs if frames else {}
    if event.value == MARK:
        role: Role = "key" if frames and frames[-1].is_map and frames[-1].key is None else "value"
        return Cursor(role, path, siblings, word, None, types)
    return Cursor("text", path, siblings, "", expression_before(event.value.partition(MARK)[0]), types)


def _types(frames: Sequence[_Frame]) -> Iterator[tuple[Path, str]]:
    path: Path = ()
    for frame in frames:
        if "type" in frame.pairs:
            yield path, frame.pairs["type"]
        path = (*path, frame.key) if frame.key is not None else path
