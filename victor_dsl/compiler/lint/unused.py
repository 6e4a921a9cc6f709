"""A named item that nothing refers to is likely a slip: a warning."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.source.diagnostic import Diagnostic


def every_name_is_used(subject: Subject) -> Iterator[Diagnostic]:
    """Databases and embedders need a reference; models too, where there are several and none comes from outside."""
    base = subject.variations[0].checked
    from_outside = any(item.component.type != "inline" for item in base.sections["providers"]) or (
        base.spec is not None and "model" in (base.spec.request or ())
    )
    for kind in ("models", "databases", "embedders"):
        if kind == "models" and (len(base.sections[kind]) < 2 or from_outside):
            continue
        if kind == "models" and not any(of == kind for of, _ in subject.used):
            continue  # none is chosen, which has a rule of its own
        names = {item.id.split("/", 1)[1] for item in base.sections[kind]}
        if any(of == kind and name not in names for of, name in subject.used):
            continue  # one of them may be meant by the name that is not there
        for item in base.sections[kind]:
            name = item.id.split("/", 1)[1]
            if (kind, name) not in subject.used:
                yield Diagnostic(
                    "unused-name",
                    f"nothing uses '{name}' of {kind}",
                    item.located.key_span or item.located.span,
                    (kind, name),
                    "remove it, or name it where it should serve",
                    severity="warning",
                )
