"""The canonical layout of a YAML file: indentation, spacing, quotes and the order of the keys at its top.

Line breaks stay where the author put them, as in gofmt. Each token of the parser is written again as it stands, and what is between two
tokens is comments and white space, so nothing can be lost. `layout` also compares what both texts mean.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

from _ruamel_yaml import CParser
from attrs import define, field, frozen
from ruamel.yaml import tokens as yaml
from ruamel.yaml.error import MarkedYAMLError

from victor_dsl.source.located import Located
from victor_dsl.source.yaml12 import UNEXPECTED_COLON, mask
from victor_dsl.source.yaml_text import compose

Rank = Callable[[str], int]
"""The place of a key at the top of the file; keys of one rank keep their order."""

STEP = 2
"""Columns of indentation, for the items of a list, too."""

_OPENING = (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
_INVISIBLE = (yaml.StreamStartToken, yaml.StreamEndToken, yaml.BlockEndToken)
_STARTS_BLOCK = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken)
_OPEN_ENDED = (yaml.ValueToken, yaml.BlockEntryToken)
_SIMPLE = re.compile(r"'([^'\"\\]*)'")
_HEADER = re.compile(r"[|>][-+0-9]*")
_OF_THE_FILE = re.compile(r"#\s*(yaml-language-server:|!)|%|---")


class MeaningChangedError(Exception):
    """The new text would not mean the same, which is a bug of this module."""


def layout(text: str, rank: Rank | None = None) -> str:
    """A YAML file in its canonical layout, without a BOM and with LF. Reading `text` finds no errors.

    With a `rank` the keys at the top are put in order, unless an alias would come before its anchor. Raises MeaningChangedError.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = _Writer(text).write()
    meaning = _meaning(text, lines)
    if meaning is None:
        raise MeaningChangedError
    for arranged in (_in_order(lines, rank), lines) if rank is not None else (lines,):
        new = _joined(arranged, text)
        if _meaning(new) == meaning:
            return new
    raise MeaningChangedError


@define(eq=False)
class _Line:
    """A line of output.

    `comment` stands behind `text`, `gap` columns away as written, and was written in `comment_column`. An `exact` line is part of a text,
    where blank lines count. `key` is the key at the top of the file that begins here.
    """

    text: str = ""
    comment: str = ""
    gap: int = 0
    comment_column: int = 0
    exact: bool = False
    key: str | None = None

    @property
    def is_blank(self) -> bool:
        return not (self.text or self.comment or self.exact)

    @property
    def is_comment(self) -> bool:
        return bool(self.comment) and not self.text


@frozen(eq=False)
class _Block:
    """An open block map or list: its column as written, and its new one.

    `indented` is False for a list whose items stand in the column of their key: it has no token of its own.
    """

    is_map: bool
    written: int
    column: int
    indented: bool = True


@define
class _Writer:
    text: str
    lines: list[_Line] = field(factory=list)
    blocks: list[_Block] = field(factory=list)
    flow: int = 0

    def write(self) -> list[_Line]:
        """The one loop over all tokens."""
        end, previous, outer = 0, None, list(self.blocks)
        begins_key = at_top = False  # what the next visible token is
        for token in _tokens(self.text):
            if not self.flow:
                self.follow(token)
            start = token.start_mark.index
            if isinstance(token, yaml.KeyToken):
                begins_key = True
                at_top = not self.flow and len(self.blocks) == 1
                if start == token.end_mark.index:
                    continue  # no `?` is written
            if isinstance(token, _INVISIBLE + _STARTS_BLOCK):
                continue
            broken = not self.joins(end, start, previous, token, outer) and self.between(end, start, previous, outer)
            self.flow -= isinstance(token, _CLOSING)
            if broken:
                self.lines.append(_Line(" " * self.indent(token, begins_key=begins_key)))
            elif previous is not None:
                self.lines[-1].text += _space(previous, token)
            end = self.add(token, start)
            self.flow += isinstance(token, _OPENING)
            if at_top and isinstance(token, yaml.ScalarToken):
                self.lines[-1].key, at_top = token.value, False
            begins_key = begins_key and isinstance(token, yaml.KeyToken)
            previous, outer = token, list(self.blocks)
        self.blocks = []
        self.between(end, len(self.text), previous, outer)
        return self.lines

    def joins(
        self, start: int, end: int, previous: yaml.Token | None, token: yaml.Token, outer: Sequence[_Block]
    ) -> bool:
        """Whether a token on a later line belongs behind the previous one: what follows a dash, and the `|` or `>` of a text."""
        if self.flow or not outer or token.start_mark.column <= outer[-1].written or self.text[start:end].strip():
            return False
        is_block_text = isinstance(token, yaml.ScalarToken) and bool(token.style) and token.style in "|>"
        return isinstance(previous, yaml.BlockEntryToken) or (isinstance(previous, yaml.ValueToken) and is_block_text)

    def follow(self, token: yaml.Token) -> None:
        """Opens and closes blocks."""
        top = self.blocks[-1] if self.blocks else None
        column = top.column + STEP if top is not None else 0
        if isinstance(token, _STARTS_BLOCK):
            is_map = isinstance(token, yaml.BlockMappingStartToken)
            self.blocks.append(_Block(is_map, token.start_mark.column, column))
            return
        if isinstance(token, yaml.KeyToken | yaml.ValueToken | yaml.BlockEndToken) and top and not top.indented:
            self.blocks.pop()
        if isinstance(token, yaml.BlockEndToken):
            self.blocks.pop()
        if isinstance(token, yaml.BlockEntryToken) and top is not None and top.is_map:
            self.blocks.append(_Block(False, token.start_mark.column, column, indented=False))

    @property
    def base(self) -> int:
        return self.blocks[-1].column if self.blocks else 0

    def indent(self, token: yaml.Token, *, begins_key: bool) -> int:
        """The column of a token that begins a line."""
        if self.flow:
            return self.base + STEP * self.flow
        own = begins_key or isinstance(token, (yaml.BlockEntryToken, yaml.ValueToken, *_CLOSING))
        return self.base if own or not self.blocks else self.base + STEP

    def add(self, token: yaml.Token, start: int) -> int:
        """Writes a token behind what is on the last line, and further lines where it has several. The index at which it ends."""
        end = token.end_mark.index
        written = self.text[start:end]
        if isinstance(token, yaml.ScalarToken) and token.style and token.style in "|>":
            return self.add_block_text(written, start)
        if isinstance(token, yaml.ScalarToken) and token.style == "'" and (simple := _SIMPLE.fullmatch(written)):
            written = f'"{simple[1]}"'
        first, *others = written.split("\n")
        self.lines[-1].text += _stripped(first) if others else first
        inner = " " * (self.base + STEP * (self.flow + 1))
        for number, other in enumerate(others, 1):
            content = other.lstrip(" \t")
            content = _stripped(content) if number < len(others) else content
            self.lines.append(_Line(inner + content) if content else _Line(exact=True))
        return end

    def add_block_text(self, written: str, start: int) -> int:
        """Writes a `|` or `>` text, moved as a whole. The index at which it ends."""
        header, _, body = written.partition("\n")
        indicator = _HEADER.match(header)
        assert indicator is not None, "the parser read a block text"
        lines = body.removesuffix("\n").split("\n") if body else []
        if number := re.search("[1-9]", indicator[0]):
            real = [block for block in self.blocks if block.indented]
            margin = (real[-1].written if real else 0) + int(number[0])
        else:
            indents = (len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" "))
            margin = next(indents, len(body))
        if "+" not in indicator[0]:
            while lines and not lines[-1][margin:] and not lines[-1].strip(" "):
                lines.pop()
        self.lines[-1].text += re.sub("[1-9]", str(STEP), indicator[0])
        self.trail(header[indicator.end() :], start + indicator.end())
        inner = " " * (self.base + STEP)
        self.lines.extend(_Line(inner + line[margin:] if line[margin:] else "", exact=True) for line in lines)
        return start + len(header) + sum(len(line) + 1 for line in lines)

    def between(self, start: int, end: int, previous: yaml.Token | None, outer: Sequence[_Block]) -> bool:
        """Writes the comments and blank lines between two tokens; `outer` are the blocks open at the previous. Whether a line ends there."""
        first, *others = self.text[start:end].split("\n")
        if previous is None:
            others.insert(0, first)
        else:
            self.trail(first, start)
        for number, line in enumerate(others):
            if comment := line.strip(" \t"):
                written = len(line) - len(line.lstrip(" \t"))
                indent = self.comment_indent(written, previous, outer)
                self.lines.append(_Line(comment=comment, gap=indent))
            elif number < len(others) - 1 and self.lines and not self.lines[-1].is_blank:
                self.lines.append(_Line())
        return bool(others)

    def trail(self, written: str, start: int) -> None:
        """Puts the comment in a rest of a line, where there is one, behind what stands on the last line."""
        comment = written.strip(" \t")
        if not comment:
            return
        space = written[: written.index("#")]
        line = self.lines[-1]
        line.comment, line.gap = comment, 1 if "\t" in space else len(space)
        line.comment_column = start + len(space) - (self.text.rfind("\n", 0, start) + 1)

    def comment_indent(self, written: int, previous: yaml.Token | None, outer: Sequence[_Block]) -> int:
        """The column of a comment on a line of its own: that of the innermost block that it was indented for."""
        if self.flow:
            return self.base + STEP * self.flow
        shared = len(list(takewhile(lambda pair: pair[0] is pair[1], zip(outer, self.blocks, strict=False))))
        if shared == len(outer) < len(self.blocks):
            return self.base  # it stands before the first line of a block
        nearby = {id(block): block for block in (*outer[max(shared - 1, 0) :], *self.blocks[max(shared - 1, 0) :])}
        if not nearby:
            return 0
        deepest = max(nearby.values(), key=lambda block: block.written)
        if isinstance(previous, _OPEN_ENDED) and written > deepest.written:
            return outer[-1].column + STEP  # a value could stand here
        fitting = [block for block in nearby.values() if block.written <= written] or [*nearby.values()]
        innermost = max(block.written for block in fitting)
        pick = max if written > innermost else min  # a list may stand in the column of its key
        return pick(block.column for block in fitting if block.written == innermost)


def _tokens(text: str) -> list[yaml.Token]:
    """All tokens of a text that can be read."""
    try:
        return _scanned(mask(text)[0])
    except MarkedYAMLError as error:
        if error.problem != UNEXPECTED_COLON:
            raise
        return _scanned(mask(text, colons=True)[0])


def _scanned(masked: str) -> list[yaml.Token]:
    parser = CParser(masked)
    found: list[yaml.Token] = []
    while not found or not isinstance(found[-1], yaml.StreamEndToken):
        found.append(parser.get_token())
    return found


def _space(previous: yaml.Token, token: yaml.Token) -> str:
    """What separates two tokens on a line."""
    if isinstance(token, yaml.ValueToken):
        return "" if isinstance(previous, (yaml.ScalarToken, *_CLOSING, *_OPENING)) else " "
    if isinstance(token, (yaml.FlowEntryToken, *_CLOSING)):
        return " " if isinstance(previous, yaml.ValueToken) else ""
    return "" if isinstance(previous, _OPENING) else " "


def _stripped(line: str) -> str:
    """A line of a text over several lines without the white space at its end, unless that is escaped."""
    stripped = line.rstrip(" \t")
    return line if stripped.endswith("\\") else stripped


def _in_order(lines: Sequence[_Line], rank: Rank) -> Sequence[_Line]:
    """The lines with the keys at the top in order. The comments above a key move with it; the file's own, and those at its end, stay."""
    keyed = [number for number, line in enumerate(lines) if line.key is not None]
    ranks = [rank(lines[number].key or "") for number in keyed]
    if ranks == sorted(ranks):
        return lines
    starts = [_behind_previous(lines, number) for number in keyed]
    lead = lines[: keyed[0]]
    of_file = [n for n, line in enumerate(lead, 1) if line.text or line.is_blank or _OF_THE_FILE.match(line.comment)]
    starts[0] = max(of_file, default=0)
    end = _behind_previous(lines, len(lines))
    parts = [list(lines[start:stop]) for start, stop in zip(starts, [*starts[1:], end], strict=True)]
    if any(part[0].is_blank for part in parts) and not parts[0][0].is_blank:
        parts[0].insert(0, _Line())
    ordered = [part for _, part in sorted(zip(ranks, parts, strict=True), key=lambda pair: pair[0])]
    if ordered[0][0].is_blank:
        ordered[0].pop(0)
    return [*lines[: starts[0]], *(line for part in ordered for line in part), *lines[end:]]


def _behind_previous(lines: Sequence[_Line], number: int) -> int:
    """Where the comments and blank lines begin that precede a line at the top."""
    while number and (lines[number - 1].is_blank or (lines[number - 1].is_comment and not lines[number - 1].gap)):
        number -= 1
    return number


def _joined(lines: Sequence[_Line], text: str) -> str:
    """The lines as one text."""
    behind = [line for line in lines if line.comment and line.text]
    columns = Counter(line.comment_column for line in behind)
    aligned = {line.comment_column for line in behind if line.gap > 1 and columns[line.comment_column] > 1}
    written: list[str] = []
    for line in lines:
        if line.is_blank and (not written or not written[-1]):
            continue
        if line.is_comment:
            written.append(" " * line.gap + line.comment)
        elif line.comment:
            gap = line.comment_column - len(line.text) if line.comment_column in aligned else line.gap
            written.append(line.text + " " * max(1, gap) + line.comment)
        else:
            written.append(line.text)
    last = len(lines)
    while lines[last - 1].is_blank:
        last -= 1
        if not written[-1]:
            written.pop()
    unfinished = lines[last - 1].exact and not text.endswith("\n")  # a break would belong to the text
    return "\n".join(written) + ("" if unfinished else "\n")


def _meaning(text: str, lines: Sequence[_Line] | None = None) -> tuple[Any, ...] | None:
    """What two layouts of a file have in common: its values, comments, anchors and aliases. None for a text with a fault."""
    document, diagnostics = compose(text, "")
    if document is None or any(fault.severity == "error" for fault in diagnostics):
        return None
    value = document.value
    values = {key: _plain(child) for key, child in value.items()} if isinstance(value, dict) else _plain(document)
    comments = Counter(line.comment for line in lines or _Writer(text).write())
    named = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken, yaml.DocumentStartToken)
    names = Counter(
        (type(token).__name__, str(getattr(token, "value", ""))) for token in _tokens(text) if isinstance(token, named)
    )
    comments.pop("", None)
    return values, comments, names


def _plain(node: Located) -> Any:
    if isinstance(node.value, dict):
        return "map", [(key, _plain(child)) for key, child in node.value.items()]
    if isinstance(node.value, list):
        return "list", [_plain(child) for child in node.value]
    return type(node.value).__name__, repr(node.value)
