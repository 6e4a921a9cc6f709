"""What a system prompt is made of, for prompt caches: fixed text, and places that differ between sessions or turns."""

from __future__ import annotations

from attrs import frozen

from victor_dsl.source.located import Span


@frozen
class Text:
    """Fixed text of so many characters."""

    characters: int


@frozen
class Varies:
    """A place that differs: the name that a template uses there, or the contributor's own."""

    name: str
    span: Span
