"""What needs to know the caller, the settings or the conversation cannot stand before auth: there none is known."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.check import Item
from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.compiler.overlays import AUTH
from victor_dsl.source.diagnostic import Diagnostic, Related


def admission_knows_enough(subject: Subject) -> Iterator[Diagnostic]:
    """Each such item once. Around model and tool calls, nothing stands before auth."""
    seen: set[int] = set()
    for variation in subject.variations:
        items = variation.checked.sections["middleware"]
        last = max((i for i, item in enumerate(items) if item.component.type == AUTH), default=0)
        for item in items[:last]:
            if item.component.after_auth and "turn" in _around(item) and id(item) not in seen:
                seen.add(id(item))
                type = item.component.type
                yield Diagnostic(
                    "before-auth",
                    f"{type} stands before auth, where neither caller, settings nor conversation are known",
                    item.located.span,
                    item.path,
                    f"write {type} after auth",
                    related=(Related("auth is here", items[last].located.span),),
                )


def _around(item: Item) -> tuple[str, ...]:
    written = getattr(item.config, "around", None)
    return (written,) if written else item.component.around
