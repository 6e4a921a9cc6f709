"""Globs over the paths of values: `settings.model`, `settings.limits.*`, `vars.*`.

A `*` stands for any characters between two dots. A glob covers what it matches and everything below that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import translate
from typing import Any

Path = tuple[str, ...]
"""The path of a value: `("settings", "limits", "concurrency")`."""

MOST_GLOBS = 1_000
"""How many globs a list of them may have."""

WILD = frozenset("*?[")
"""Characters that make a text a glob."""


class PathGlobs:
    """Some globs. A path is looked up among those without a wildcard, and compared with each of the others."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._exact: dict[Path, str] = {}
        self._above: dict[Path, str] = {}
        self._wild: list[tuple[tuple[str | re.Pattern[str], ...], str]] = []
        for glob in globs:
            steps = tuple(glob.split("."))
            if WILD.isdisjoint(glob):
                self._exact.setdefault(steps, glob)
                for length in range(1, len(steps)):
                    self._above.setdefault(steps[:length], glob)
            else:
                compiled = [step if WILD.isdisjoint(step) else re.compile(translate(step)) for step in steps]
                self._wild.append((tuple(compiled), glob))

    def covering(self, path: Path) -> str | None:
        """A glob that covers the path."""
        for length in range(1, len(path) + 1):
            if (glob := self._exact.get(path[:length])) is not None:
                return glob
        return next((glob for steps, glob in self._wild if len(steps) <= len(path) and _agree(steps, path)), None)

    def below(self, path: Path) -> str | None:
        """A glob that may cover something below the path."""
        if (glob := self._above.get(path)) is not None:
            return glob
        return next((glob for steps, glob in self._wild if len(steps) > len(path) and _agree(steps, path)), None)

    def touched(self, path: Path, value: Any) -> str | None:
        """A glob that covers some of what a value at the path sets or removes."""
        glob = self.covering(path)
        return self.below(path) if glob is None and value != {} else glob


def _agree(steps: tuple[str | re.Pattern[str], ...], path: Path) -> bool:
    """Whether the steps that both have match."""
    return all(
        step == name if isinstance(step, str) else step.match(name) is not None
        for step, name in zip(steps, path, strict=False)
    )


def leaves(values: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is not a map with something in it, with its path."""
    stack = [(path, values)] if values else []
    while stack:
        here, value = stack.pop()
        if isinstance(value, Mapping) and value:
            stack += [((*here, str(key)), inner) for key, inner in value.items()][::-1]
        else:
            yield here, value
