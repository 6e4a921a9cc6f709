"""Keeps the values of `${env:…}` and `${file:…}` out of diagnostics: the reference stands where its value would."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cached_property

from attrs import evolve

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import Located, Path

_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r"'([^']+)'|`([^`]+)`")
_LISTED = re.compile(r"(?<=[:,] )[^\s,;:]+(?=[,;]|$)")
_CUT = re.compile(r"\w+(?=…)")
_LEAST = 3
"""Characters of a word that says something."""

_COMMON = re.compile(r"true|false|null|-?\d{1,5}|.{1,2}", re.DOTALL)
"""Values that any message may have in it. Such a one is hidden only in quotes, and in lists of names."""

_OVERLAYS = ("tenants", "variants")


class HiddenValues:
    """What the references of a document stand for. What is written in the document is public."""

    def __init__(self, document: Located) -> None:
        self._document = document
        self._shown: dict[str, str] = {}
        self._items: set[Path] = set()
        self._lines: set[tuple[str, int]] = set()
        for path, leaf in document.walk():
            if isinstance(leaf.value, Interpolated):
                self._items.add(path[:2])
                self._lines.update((leaf.span.file, line) for line in range(leaf.span.line, leaf.span.end_line + 1))
                for value, shown in leaf.value.values():
                    self._shown.setdefault(value.strip(), shown)
        self._shown.pop("", None)

    def hide(self, found: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics without these values; those of an item that has one also without words of it in quotes."""
        return [self._hidden(d) for d in found] if self._shown else list(found)

    def _hidden(self, d: Diagnostic) -> Diagnostic:
        near = (
            not d.path
            or d.path[0] in _OVERLAYS
            or d.path[:2] in self._items
            or (d.span.file, d.span.line) in self._lines
        )
        message, hint = (None if text is None else self._text(text, near) for text in (d.message, d.hint))
        assert message is not None
        return d if (message, hint) == (d.message, d.hint) else evolve(d, message=message, hint=hint)

    def _text(self, text: str, near: bool) -> str:
        for first in {word for word in _WORD.findall(text) if word in self._by_first_word}:
            for value in self._by_first_word[first]:
                if value in text:
                    pieces = re.split(rf"(?<!\w){re.escape(value)}(?!\w)", text)
                    text = self._shown[value].join(pieces)
        if near:
            text = _LISTED.sub(lambda name: self._shown.get(name[0], name[0]), text)
        text = _CUT.sub(lambda cut: self._beginning(cut[0]) or cut[0], text)
        return _QUOTED.sub(self._without_words if near else self._without_values, text)

    def _without_values(self, quoted: re.Match[str]) -> str:
        shown = self._shown.get((quoted[1] or quoted[2]).strip())
        return quoted[0] if shown is None else f"{quoted[0][0]}{shown}{quoted[0][0]}"

    def _without_words(self, quoted: re.Match[str]) -> str:
        whole = quoted[1] or quoted[2]
        words = [word for word in _WORD.findall(whole) if word not in self._public]
        shown = self._shown.get(whole.strip())
        shown = shown or next((self._words[word] for word in words if word in self._words), None)
        if shown is None and words and whole.endswith(words[-1]):
            shown = self._beginning(words[-1])
        return quoted[0] if shown is None else f"{quoted[0][0]}{shown}{quoted[0][0]}"

    def _beginning(self, word: str) -> str | None:
        """What is shown for the beginning of a hidden word, where a message cuts it."""
        if len(word) <= _LEAST or word in self._public:
            return None
        at = bisect_left(self._sorted, word)
        found = self._sorted[at] if at < len(self._sorted) else ""
        return self._words[found] if found.startswith(word) else None

    @cached_property
    def _by_first_word(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for value in self._shown:
            if not _COMMON.fullmatch(value) and (first := _WORD.search(value)):
                found.setdefault(first[0], []).append(value)
        return found

    @cached_property
    def _words(self) -> dict[str, str]:
        return {
            word: shown for value, shown in self._shown.items() for word in _WORD.findall(value) if len(word) >= _LEAST
        }

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self._words)

    @cached_property
    def _public(self) -> frozenset[str]:
        return frozenset(word for text in _written(self._document) for word in _WORD.findall(text))


def _written(document: Located) -> Iterator[str]:
    """Every text of a document as it is written, keys included."""
    stack = [document]
    while stack:
        value = stack.pop().value
        if isinstance(value, dict):
            yield from value
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, str | Interpolated):
            yield str(value)
