"""What `null` takes away, and faults that come of it: they stand at the `null`, which names its tenant, arm or file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve, frozen

from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path

_MOST_RELATED = 5


@frozen
class Removal:
    """A `null` at a path of the document, and who wrote it: `tenant acme`, `arm tone.warm`, or a file."""

    source: str
    path: Path
    null: Located

    def blame(self, fault: Diagnostic) -> Diagnostic:
        """The fault at the `null`, with the place that needs what is not there."""
        return evolve(
            fault,
            message=f"{fault.message.replace(f' for {self.source}', '')} ({self.source} removes it)",
            span=self.null.key_span or self.null.span,
            path=self.path,
            related=(Related("needed here", fault.span), *fault.related),
        )

    def blame_last(self, faults: list[Diagnostic]) -> None:
        """Blames it for the last fault, and joins that to an earlier one of which it is the cause as well."""
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
) -> Removal | None:
    """Who takes away what stands at a path of the spec; None where no `null` does.

    `overlays` are those in force, each with its name and place, the lowest first; `nulls` those of files that extend others.
    """
    for source, at in [*overlays][::-1]:
        here = document.at(at)
        for length, step in enumerate(path, 1):
            below = here.get(str(step))
            if below is None:
                break
            if below.value is None:
                return Removal(source, (*at, *path[:length]), below)
            here = below
    for length in range(1, len(path) + 1):
        if (null := nulls.get(path[:length])) is not None:
            return Removal(null.span.file, path[:length], null)
    return None


def blamed(fault: Diagnostic, found: Removal | None) -> Diagnostic:
    """The fault at the `null` that it comes of, if there is one."""
    return fault if found is None else found.blame(fault)
