"""YAML text to located values: a composer over the C parser's events.

The C library's own composer recurses, and kills the process on deep input; this one keeps a stack and stops at
a depth. It differs from YAML 1.1, which the C parser speaks, where YAML 1.2 does: in what a plain scalar means
(`scalars`), in U+0085, U+2028 and U+2029, which break no line, and in ':' and '?' inside a plain text
in `[…]` or `{…}` (`masks`). One difference stays: a plain text there that begins with ':' is refused.
"""

from __future__ import annotations

from typing import Any

from _ruamel_yaml import CParser
from attrs import evolve
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from victor_dsl.source import yaml12
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Span, span_at, trimmed_end
from victor_dsl.source.nesting import DROPPED, MAX_DEPTH, MAX_NODES, MERGED, WANTED, Anchored, Anchors, Nesting, Open
from victor_dsl.source.yaml12 import UNEXPECTED_COLON, mask
from victor_dsl.source.yaml_errors import character_error, read_tag, syntax_error

TEMPLATE = "a text that begins with '{{' needs quotes"


def compose(text: str, file: str, *, colons: bool = False) -> tuple[Located | None, list[Diagnostic]]:
    """The document and the faults found; None where the text has none, or where reading had to stop.

    `colons` masks those inside plain texts, which costs a second reading where the parser stumbles over one.
    """
    composer = _Composer(text, *mask(text, colons=colons), file)
    try:
        return composer.read(), composer.diagnostics
    except _Stop as stop:
        return None, [*composer.diagnostics, stop.diagnostic]
    except ReaderError:
        return None, [*composer.diagnostics, character_error(file, text)]
    except MarkedYAMLError as error:
        if error.problem == UNEXPECTED_COLON and not colons:
            return compose(text, file, colons=True)
        found = syntax_error(error, file, text, (composer.open.line, composer.open.column))
        last = composer.diagnostics[-1] if composer.diagnostics else None
        if last is not None and last.message == TEMPLATE and last.span.line == found.span.line:
            return None, composer.diagnostics  # what follows such a text on its line cannot be YAML
        return None, [*composer.diagnostics, found]


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic


class _Composer(Nesting):
    def __init__(self, text: str, masked: str, masks: dict[int, str], file: str) -> None:
        super().__init__()
        self.text = text
        self.masked = masked
        self.masks = masks
        self.file = file
        self.anchors = Anchors()
        self.documents = 0

    def read(self) -> Located | None:  # noqa: C901 - one loop, where every call costs
        """The one loop over all events; whatever is rare is in a method below."""
        next_event = CParser(self.masked).get_event
        file, masks, meaningful, new = self.file, self.masks, yaml12.MEANINGFUL, tuple.__new__
        here = self.open
        last = Span(file, 1, 1, 1, 1)
        for count in range(MAX_NODES):
            event = next_event()
            kind = event.__class__
            if kind is ScalarEvent:
                text, style = event.value, event.style
                if masks and not text.isascii():
                    text = text.translate(masks)
                if event.ctag is not None or event.anchor is not None or not (text or style):
                    last = self.rare_scalar(event, text, last)
                    continue
                start, end = event.start_mark, event.end_mark
                last = new(Span, (file, start.line + 1, start.column + 1, end.line + 1, end.column + 1))
                if here.key is WANTED:
                    if text in here.items or (text == "<<" and not style):
                        self.rare_key(text, style, last)
                    else:
                        here.key, here.key_span = text, last
                    continue
                value = text
                if style:
                    if style in "|>":
                        last = self.block_text_span(event)
                elif text[0] in meaningful:
                    value = self.plain(text, last)
                if here.key is None:
                    here.items.append(Located(value, last))
                else:
                    here.items[here.key] = Located(value, last, here.key_span)
                    here.key = WANTED
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                here = self.begin(event, count)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                end = event.end_mark
                if end.index > event.start_mark.index:  # a bracket; the end of an indented one has no width
                    last = new(Span, (file, end.line + 1, end.column, end.line + 1, end.column + 1))
                here = self.finish(last, count)
            elif kind is AliasEvent:
                last = self.span(event)
                self.alias(event.anchor, last)
            elif kind is StreamEndEvent or (kind is DocumentStartEvent and self.several(event)):
                return self.open.items[0] if self.open.items else None
        raise _Stop(self.too_large(last, f"more than {MAX_NODES:,} keys and values"))

    def span(self, event: Event) -> Span:
        start, end = event.start_mark, event.end_mark
        return Span(self.file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def too_large(self, span: Span, what: str) -> Diagnostic:
        return Diagnostic(
            "too-large", f"the file has {what}", span, self.path(), "split the spec; a spec is written by people"
        )

    # Keys and scalars out of the ordinary

    def rare_scalar(self, event: ScalarEvent, text: str, last: Span) -> Span:
        """A scalar with a tag or an anchor, or nothing at all. Gives the place of what was written last."""
        here = self.open
        start, end = event.start_mark.index, event.end_mark.index
        if start == end:
            span = span_at(self.file, self.text, start, end)
            last = max(last, span) if here.key is None else last  # behind the dash
        else:
            span = last = self.block_text_span(event) if event.style and event.style in "|>" else self.span(event)
        tag = self.tag(event, yaml12.SCALAR_TAGS)
        if here.key is WANTED:
            if not (text or event.style or tag):
                self.complex_key("a key is missing here", span)
                here.key = DROPPED
            elif text in here.items or (text == "<<" and not event.style and tag is None):
                self.rare_key(text, event.style, span)
            else:
                here.key, here.key_span = text, span
            node = Located(text, span)
        else:
            node = Located(
                self.rare_value(event, text, tag, span), span, here.key_span if here.key is not None else None
            )
            self.add(node)
        if event.anchor is not None:
            self.anchors.close(event.anchor, Anchored(node, 1, 0))
        return last

    def rare_value(self, event: ScalarEvent, text: str, tag: str | None, span: Span) -> Any:
        if tag is not None:
            try:
                return yaml12.tagged_scalar(tag, text)
            except yaml12.NumberTooLong:
                return self.plain(text, span)
            except ValueError:
                self.report(
                    "bad-tag",
                    f"'{text}' is not a valid !!{tag}",
                    span,
                    f"write it without '!!{tag}', or correct the value",
                )
                return None
        if event.style:
            return text
        if text:
            return self.plain(text, span)
        here = self.open
        if here.key is None:
            dash = span._replace(column=max(1, span.column - 1))
            self.report("empty-value", "this item has no value", dash, "write `null` for no value, or remove it")
        elif isinstance(here.key, str) and here.key_span is not None:
            hint = "write `null` for no value, or remove the key"
            if not _ends_with_colon(self.text, event.start_mark.index):  # as in `{text: briefly, politely}`
                hint = f"a ',' ends a plain text in {{…}}: put the text in quotes; or {hint}"
            self.report("empty-value", f"'{here.key}' has no value", here.key_span, hint)
        return None

    def rare_key(self, key: str, style: str, span: Span) -> None:
        """`<<`, or a key that the map has."""
        here = self.open
        inner: object = MERGED if key == "<<" and not style else key
        first = here.items.get(inner)
        here.key, here.key_span = inner, span
        if first is not None:
            place = Related("first written here", first.key_span or first.span)
            here.key = key
            self.report("duplicate-key", f"'{key}' is written twice", span, "remove one of the two", place)
            here.key = DROPPED

    def complex_key(self, message: str, span: Span) -> None:
        self.report(
            "complex-key", message, span, "a key is a plain or quoted text; quote text that begins with *, [ or {"
        )

    def plain(self, text: str, span: Span) -> Any:
        try:
            return yaml12.plain_scalar(text)
        except yaml12.NumberTooLong:
            message = f"a number of {len(text)} characters is too long"
            self.report("bad-number", message, span, f"at most {yaml12.MAX_DIGITS} are read; quote it if it is text")
            return None

    def tag(self, event: Any, allowed: tuple[str, ...]) -> str | None:
        """The core schema's name of the tag, or None for a tag that is absent or ignored."""
        if event.ctag is None:
            return None
        tag = read_tag(event, self.file, self.text, allowed)
        if isinstance(tag, Diagnostic):
            self.diagnostics.append(evolve(tag, path=self.path()))
            return None
        return tag

    def block_text_span(self, event: ScalarEvent) -> Span:
        """The span of a `|` or `>` text without the blank lines behind it, which the parser counts in."""
        start, end = event.start_mark, event.end_mark
        line, column = start.line + 1, start.column + 1
        return Span(self.file, line, column, *trimmed_end(self.text, start.index, end.index, line, column))

    # Maps, lists and aliases

    def begin(self, event: Any, count: int) -> Open:
        start = event.start_mark
        is_map = event.__class__ is MappingStartEvent
        if self.open.key is WANTED:
            if self.text.startswith("{{", start.index - 1):
                braces = span_at(self.file, self.text, start.index - 1, start.index + 1)
                self.report("complex-key", TEMPLATE, braces, 'write `"{{ … }}"`')
            else:
                self.complex_key(f"a {'map' if is_map else 'list'} cannot be a key", self.opening(event))
        inner = Open({} if is_map else [], WANTED if is_map else None, start.line + 1, start.column + 1)
        if event.ctag is not None:
            self.tag(event, ("map",) if is_map else ("seq",))
        if len(self.stack) >= MAX_DEPTH:
            raise _Stop(self.too_deep(self.opening(event)))
        if event.anchor is not None:
            inner.anchor = event.anchor
            self.anchors.begin(event.anchor)
        inner.count, inner.aliased = count, self.anchors.aliased
        self.stack.append(self.open)
        self.open = inner
        return inner

    def finish(self, last: Span, count: int) -> Open:
        done = self.open
        outer = self.open = self.stack.pop()
        items = done.items
        if done.key is not None:
            if MERGED in items:
                items = self.merge(items)
            items.pop(DROPPED, None)
        end_line, end_column = max((last.end_line, last.end_column), (done.line, done.column))
        span = Span(self.file, done.line, done.column, end_line, end_column)
        node = Located(items, span, outer.key_span if outer.key is not None else None)
        outer.height = max(outer.height, done.height + 1)
        if done.anchor is not None:
            size = count - done.count + self.anchors.aliased - done.aliased
            self.anchors.close(done.anchor, Anchored(node, size, done.height + 1))
        self.add(node)
        return outer

    def alias(self, name: str, span: Span) -> None:
        here = self.open
        if here.key is WANTED:
            self.complex_key("an alias cannot be a key", span)
            here.key, here.key_span = DROPPED, span
            return
        anchored = self.anchors.find(name, span)
        if isinstance(anchored, Diagnostic):
            fault = evolve(anchored, path=self.path())
            if fault.code == "too-large":
                raise _Stop(fault)
            self.diagnostics.append(fault)
            anchored = Anchored(Located(None, span), 0, 0)
        if len(self.stack) + anchored.height > MAX_DEPTH:
            raise _Stop(self.too_deep(span))
        here.height = max(here.height, anchored.height)
        self.add(Located(anchored.node.value, anchored.node.span, here.key_span if here.key is not None else None))

    def merge(self, items: dict[Any, Located]) -> dict[Any, Located]:
        """The map with what its `<<` names: its own keys win, then the earlier of the maps named."""
        node = items.pop(MERGED)
        merged: dict[Any, Located] = {}
        for source in node.value if isinstance(node.value, list) else [node]:
            if isinstance(source.value, dict):
                merged = {**source.value, **merged}
            elif source.value is not None or not self.diagnostics:
                self.report(
                    "bad-merge",
                    "'<<' expects a map or a list of maps",
                    node.key_span or node.span,
                    "write `<<: *anchor`",
                )
        return {**merged, **items}

    def too_deep(self, span: Span) -> Diagnostic:
        message = f"maps and lists are nested more than {MAX_DEPTH} deep"
        return Diagnostic("too-deep", message, span, self.path(), "make the spec flatter")

    def opening(self, event: Any) -> Span:
        """The first character of a map or list."""
        index = event.start_mark.index
        return span_at(self.file, self.text, index, index + 1)

    def several(self, event: DocumentStartEvent) -> bool:
        """Whether this is a second document, which is a fault."""
        self.documents += 1
        if self.documents > 1:
            message = "a second document begins here; a spec is a single document"
            hint = "remove the '---' and what follows"
            self.diagnostics.append(Diagnostic("several-documents", message, self.span(event), hint=hint))
        return self.documents > 1


def _ends_with_colon(text: str, end: int) -> bool:
    """Whether a ':' is the last visible character before an index."""
    while end and text[end - 1].isspace():
        end -= 1
    return text[end - 1 : end] == ":"
