"""Where templates are: in the spec, or in files. Needs no Jinja2, whose import takes 50 ms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from attrs import define, field, frozen

from victor_dsl.compiler.checked import Item
from victor_dsl.language.annotations import FilePath, TemplateText, annotated_fields
from victor_dsl.language.template import MOST_SOURCE
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import as_read
from victor_dsl.source.located import Located, Path, Span
from victor_dsl.source.reader import Files, Included, resolve

_PLAIN = re.compile(r"\{\{ ([A-Za-z_][A-Za-z0-9_]*) \}\}")
_MOST_NAMES = 1_000
_WORDS = frozenset({"and", "else", "if", "in", "is", "not", "or", "true", "false", "none", "True", "False", "None"})


@frozen
class Source:
    """A template's text; its line 1 stands at `line` of `file`, after `indent` characters.

    Where the lines are not written as they read (folded, or with escapes), `written` holds those of the file. `path` is
    the absolute path of a template's own file, None where it stands in the spec. `field` is the item's field.
    """

    text: str
    file: str
    line: int
    indent: int
    place: Span
    field: Path
    path: str | None = None
    written: tuple[str, ...] | None = None

    def span(self, line: int, word: str | None = None) -> Span:
        """A line of the template, or a word on it, in the file that holds it."""
        if self.written is not None:
            return self._among(self.written, word)
        lines = self.text.splitlines()
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        found = _find(word, text)
        start, end = found.span() if found else (len(text) - len(text.lstrip()), len(text.rstrip()))
        start, end = start + self.indent, max(end, start + 1) + self.indent
        return Span(self.file, self.line + line - 1, start + 1, self.line + line - 1, end + 1)

    def _among(self, lines: tuple[str, ...], word: str | None) -> Span:
        for number, text in enumerate(lines, self.place.line):
            if found := _find(word, text):
                return Span(self.file, number, found.start() + 1, number, found.end() + 1)
        return self.place


MOST_PARTS = 125_000
"""Parts of all templates of a spec: the words and signs in their tags, and the texts between them."""
MOST_TRIED = 1_000_000
"""The work of rendering templates to find their faults: of more templates, they are only read."""


class TooManyParts(Exception):
    """The templates of a spec are too many to check."""


@define(eq=False)
class Templates:
    """The templates of a spec: each text is parsed once, and all together have a bound."""

    files: Files
    included: Included
    parts_left: float = MOST_PARTS
    work_left: int = MOST_TRIED
    parsed: dict[tuple[str, str], Any] = field(factory=dict)
    families: dict[Source, Any] = field(factory=dict)
    provided: dict[int, tuple[Item, Any]] = field(factory=dict)
    _fault: Diagnostic | None = None

    def charge(self, parts: float) -> None:
        """Raises TooManyParts where there are more than may be checked."""
        self.parts_left -= parts
        if self.parts_left < 0:
            raise TooManyParts

    def too_many(self, source: Source) -> Diagnostic:
        """The fault, at the first template that is too much."""
        if self._fault is None:
            message = f"the templates up to here have more than {MOST_PARTS:,} parts, which is too many to check"
            hint = "split the spec, or write texts that hold no `{{ … }}` as `type: text`"
            self._fault = Diagnostic("too-large", message, source.place, source.field, hint)
        return self._fault


def plain_parts(source: Source) -> list[str] | None:
    """A template that has nothing but `{{ name }}` in it: a text, a name, a text and so on; None for any other template."""
    if len(source.text) > MOST_SOURCE:
        return None
    parts = _PLAIN.split(source.text, _MOST_NAMES + 1)
    texts, names = parts[::2], parts[1::2]
    if (
        len(names) > _MOST_NAMES
        or any(mark in text for text in texts for mark in ("{{", "{%", "{#"))
        or not _WORDS.isdisjoint(names)
    ):
        return None
    return parts


def _find(word: str | None, text: str) -> re.Match[str] | None:
    """A word on a line: as a name of its own, else behind a dot or in quotes."""
    if not word:
        return None
    return re.search(rf"(?<![\w.]){re.escape(word)}\b", text) or re.search(rf"{re.escape(word)}(?!\w)", text)


def sources(item: Item, files: Files, included: Included) -> Iterator[Source]:
    """The templates of an item that can be read."""
    for name, annotation in annotated_fields(item.component.config).items():
        leaf = item.located.get(name)
        if leaf is None or item.config is None:
            continue
        value = getattr(item.config, name)
        if isinstance(annotation, TemplateText) and isinstance(value, str):
            yield inline(files, leaf, value, (*item.path, name))
        elif isinstance(annotation, FilePath) and annotation.template and isinstance(value, str):
            try:
                text = included.read(value).decode("utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            file = resolve(leaf.span.file, str(as_read(leaf.value)))
            files.remember(file, text)
            yield Source(text, file, 1, 0, leaf.span, (*item.path, name), value)


def inline(files: Files, leaf: Located, text: str, field: Path) -> Source:
    """A template written in the spec: a block scalar's text begins on the line below, at its own indentation."""
    span = leaf.span
    lines = files.lines(span.file)
    first = lines[span.line - 1][span.column - 1 : span.column] if span.line <= len(lines) else ""
    if first in ("|", ">"):
        below = next((line for line in lines[span.line : span.end_line] if line.strip()), "")
        line, indent = span.line + 1, len(below) - len(below.lstrip())
    else:
        line, indent = span.line, span.column - 1 + (first in "\"'" and bool(first))
    written = tuple(lines[span.line - 1 : span.end_line])
    as_lines = [line[indent:] for line in lines[line - 1 : span.end_line]]
    read = text.splitlines()
    same = len(read) <= len(as_lines) and all(a.startswith(b) for a, b in zip(as_lines, read, strict=False))
    return Source(text, span.file, line, indent, span, field, None, None if same else written)
