"""Parts of a spec that change nothing: names that nothing refers to, and keys that nothing reads yet. Warnings."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Located, Path

UNREAD: tuple[Path, ...] = (("tests",), ("variants", "*", "metrics"), ("variants", "*", "control"))
"""Keys of the language that this version checks and does not read; `*` is any name."""


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


def every_key_has_an_effect(subject: Subject) -> Iterator[Diagnostic]:
    """The keys in UNREAD, so that nobody relies on them."""
    for pattern in UNREAD:
        for path, leaf in _matches(subject.document, pattern, ()):
            yield Diagnostic(
                "no-effect",
                f"{'.'.join(map(str, path))} has no effect yet",
                leaf.key_span or leaf.span,
                path,
                "this version checks it and does nothing else with it: leave it out, or do not rely on it",
                severity="warning",
            )


def _matches(node: Located, pattern: Path, at: Path) -> Iterator[tuple[Path, Located]]:
    """What is written at the paths of a pattern."""
    if not pattern:
        if node.value is not None:
            yield at, node
    elif isinstance(node.value, dict):
        for key in node.value if pattern[0] == "*" else [pattern[0]] if pattern[0] in node.value else []:
            yield from _matches(node.value[key], pattern[1:], (*at, key))
