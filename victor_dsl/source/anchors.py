"""What `&name` marks and `*name` repeats, and how much aliases may add."""

from __future__ import annotations

from attrs import frozen

from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.limits import MAX_ALIASED
from victor_dsl.source.located import Located, Span


@frozen
class Anchored:
    """A value with an anchor: `size` counts its nodes, `height` the maps and lists in one another, aliases followed."""

    node: Located
    size: int
    height: int


class Anchors:
    """The anchors of a document so far; one that is written again means its newest value."""

    def __init__(self) -> None:
        self.aliased = 0
        self._known: dict[str, Anchored | None] = {}  # None while the value is being read

    def begin(self, name: str) -> None:
        """A map or list with this anchor begins."""
        self._known[name] = None

    def close(self, name: str, anchored: Anchored) -> None:
        """The value with this anchor is read."""
        self._known[name] = anchored

    def find(self, name: str, span: Span) -> Anchored | Diagnostic:
        """What an alias repeats, or why it cannot. Counts what it adds."""
        anchored = self._known.get(name)
        if anchored is None and name in self._known:
            message = f"'*{name}' stands inside the value that it repeats"
            return Diagnostic("alias-loop", message, span, hint="an alias cannot hold itself")
        if anchored is None:
            hint = suggest(name, [n for n, found in self._known.items() if found], what="anchors above")
            hint += "; a text that begins with '*' needs quotes"
            return Diagnostic("unknown-alias", f"there is no anchor '&{name}' above", span, hint=hint)
        self.aliased += anchored.size
        if self.aliased > MAX_ALIASED:
            message = f"aliases add more than {MAX_ALIASED:,} values"
            return Diagnostic("too-large", message, span, hint="write the values out, or split the spec")
        return anchored
