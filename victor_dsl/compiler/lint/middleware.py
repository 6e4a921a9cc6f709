"""The order of middleware: what cannot stand before `auth`, and orders that look like a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import get_args

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.overlays import AUTH
from victor_dsl.language.config import Around
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

ANYTHING: tuple[str, ...] = get_args(Around)
"""All that middleware can wrap."""


def middleware_order(subject: LintInput) -> Iterator[Diagnostic]:
    """Each item that is listed too early, with the next item of each type that should wrap it."""
    seen: set[tuple[int, int]] = set()
    for items in subject.distinct("middleware"):
        for item, later, why in reversed(list(_unwise(items))):
            if (id(item), id(later)) not in seen:
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


def _unwise(items: Sequence[Item]) -> Iterator[tuple[Item, Item, str]]:
    """From the last item to the first: an item, the next one of a type that should wrap it, and why."""
    following: dict[tuple[str, str], tuple[int, Item]] = {}  # the next item of a type, by what it wraps
    for place in range(len(items) - 1, -1, -1):
        item = items[place]
        found: list[tuple[int, Item, str]] = []
        for outer, inner, why in OUTER_INNER:
            if inner == item.component.type:
                wrapped = ANYTHING if outer == AUTH else _around(item)
                nexts = [following[outer, around] for around in wrapped if (outer, around) in following]
                found += [(*min(nexts, key=itemgetter(0)), why)] if nexts else []
        yield from ((item, later, why) for _, later, why in sorted(found, key=itemgetter(0), reverse=True))
        for around in _around(item):
            following[item.component.type, around] = (place, item)


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
