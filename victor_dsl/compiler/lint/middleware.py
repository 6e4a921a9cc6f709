"""The order of middleware: what cannot stand before `auth`, and orders that look like a mistake."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.check import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.overlays import AUTH
from victor_dsl.source.diagnostic import Diagnostic, Related

# (outer, inner, why): the inner one written before the outer one is unwise.
OUTER_INNER: tuple[tuple[str, str, str], ...] = (
    ("auth", "cache", "callers that auth refuses would get answers from the cache"),
    ("auth", "budget", "the budget cannot know whose request it is"),
    ("auth", "concurrency", "callers that auth refuses would use up the places of others"),
    ("rate_limit", "retry", "each retry would be counted as a request of its own"),
    ("redact", "cache", "the cache would contain what redact removes"),
    ("retry", "timeout", "one timeout holds for all attempts together, and a slow first one leaves none for the next"),
    ("retry", "circuit_breaker", "all attempts of a call count as one failure, and each probe is several calls"),
    (
        "circuit_breaker",
        "timeout",
        "a call that exceeds the time limit is cancelled, so it does not count as a failure",
    ),
)


def middleware_order(subject: LintInput) -> Iterator[Diagnostic]:
    """Each such pair once, at the item that is listed too early."""
    seen: set[tuple[int, int]] = set()
    for items in subject.distinct("middleware"):
        for i, item in enumerate(items):
            for later in items[i + 1 :]:
                why = _unwise(item, later)
                if why and (id(item), id(later)) not in seen:
                    seen.add((id(item), id(later)))
                    yield Diagnostic(
                        "unwise-order",
                        f"{item.component.type} wraps {later.component.type}: {why}",
                        item.located.span,
                        item.path,
                        f"write {later.component.type} before {item.component.type}",
                        severity="warning",
                        related=(Related(f"{later.component.type} is here", later.located.span),),
                    )


def _unwise(outer: Item, inner: Item) -> str | None:
    if inner.component.type != "auth" and not set(_around(outer)) & set(_around(inner)):
        return None
    for first, second, why in OUTER_INNER:
        if (first, second) == (inner.component.type, outer.component.type):
            return why
    return None


def _around(item: Item) -> tuple[str, ...]:
    written = getattr(item.config, "around", None)
    return (written,) if written else item.component.around


def admission_knows_enough(subject: LintInput) -> Iterator[Diagnostic]:
    """Each such item once. `auth` does not wrap model and tool calls, so there the order is free."""
    seen: set[int] = set()
    for items in subject.distinct("middleware"):
        last = max((i for i, item in enumerate(items) if item.component.type == AUTH), default=0)
        for item in items[:last]:
            if item.component.after_auth and "turn" in _around(item) and id(item) not in seen:
                seen.add(id(item))
                type = item.component.type
                yield Diagnostic(
                    "before-auth",
                    f"{type} runs before auth, when caller, settings and conversation are not known yet",
                    item.located.span,
                    item.path,
                    f"write {type} after auth",
                    related=(Related("auth is here", items[last].located.span),),
                )
