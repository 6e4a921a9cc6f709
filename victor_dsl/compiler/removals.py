"""Places faults that an overlay causes at the line of the overlay: where it removes or changes what something else needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve, frozen

from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path

_MOST_RELATED = 5

_ITEM = 2
"""How deep an item is in a spec: a section and a name."""


@frozen
class Change:
    """A value that an overlay writes at a path of the document; `null` removes.

    `source` is `tenant acme`, `arm tone.warm` or a file.
    """

    source: str
    path: Path
    written: Located
    verb: str = "removes"

    def blame(self, fault: Diagnostic) -> Diagnostic:
        """The fault, placed at the change; its old place is a related one."""
        place = "needed here" if self.verb == "removes" else "where it does not fit"
        return evolve(
            fault,
            message=f"{fault.message.replace(f' for {self.source}', '')} ({self.source} {self.verb} it)",
            span=self.written.key_span or self.written.span,
            path=self.path,
            related=(Related(place, fault.span), *fault.related),
        )

    def blame_last(self, faults: list[Diagnostic]) -> None:
        """Places the last fault at the change. If an earlier fault is the same there, both become one."""
        fault = self.blame(faults.pop())
        for i, other in enumerate(faults):
            if (other.code, other.span, other.message) == (fault.code, fault.span, fault.message):
                faults[i] = evolve(
                    other, related=tuple(dict.fromkeys([*other.related, *fault.related]))[:_MOST_RELATED]
                )
                return
        faults.append(fault)


def removal(
    document: Located, overlays: Iterable[tuple[str, Path]], nulls: Mapping[Path, Located], path: Path
) -> Change | None:
    """The `null` that removes the value at a path of the spec, or None.

    `overlays` are those in force, each with its name and place, the lowest first; `nulls` are those of files that extend others.
    """
    for source, at in [*overlays][::-1]:
        here = document.at(at)
        for length, step in enumerate(path, 1):
            below = here.get(str(step))
            if below is None:
                break
            if below.value is None:
                return Change(source, (*at, *path[:length]), below)
            here = below
    for length in range(1, len(path) + 1):
        if (null := nulls.get(path[:length])) is not None:
            return Change(null.span.file, path[:length], null)
    return None


def change(document: Located, overlays: Iterable[tuple[str, Path]], fault: Diagnostic, path: Path) -> Change | None:
    """The overlay's change of the item at a path, if the fault stands at a part of the item that the overlay does not write."""
    for source, at in [*overlays][::-1]:
        here, place = document.at(at), at
        for step in path:
            below = here.get(str(step))
            if below is None:
                break
            here, place = below, (*place, step)
        written = [*here.walk(place)] if len(place) - len(at) >= min(_ITEM, len(path)) else []
        if any(fault.span in (leaf.span, leaf.key_span) for _, leaf in written):
            return None
        if len(written) > 1:
            return Change(source, *written[1], verb="changes")
    return None


def blamed(fault: Diagnostic, found: Change | None) -> Diagnostic:
    """The fault, placed at the change that causes it, if there is one."""
    return fault if found is None else found.blame(fault)
