"""Limits that no middleware enforces, and middleware that has no limit to enforce."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.removals import Change, blamed
from victor_dsl.compiler.variations import Variation
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Located, Path, Span
from victor_dsl.values.settings import Limits

LIMITS = frozenset(Limits.model_fields) - {"tools"}
"""The runtime itself enforces `tools`."""


def every_limit_is_enforced(subject: LintInput) -> Iterator[Diagnostic]:
    """Limits of the spec, its overlays and its inline providers that no middleware enforces, each place once."""
    seen: set[Span] = set()
    for variation, path, limits in _written(subject):
        if isinstance(limits.value, dict):
            enforced = {limit for item in variation.checked.sections["middleware"] for limit in item.component.enforces}
            for name, value in limits.value.items():
                if name not in LIMITS - enforced or value.value is None or value.span in seen:
                    continue
                seen.add(value.span)
                whose = f" for {variation.label}" if variation.label else ""
                fault = Diagnostic(
                    "unheld-limit",
                    f"{name} is set, but no middleware enforces it{whose}",
                    value.key_span or value.span,
                    (*path, name),
                    "nothing enforces it yet, so it limits nothing"
                    if name == "cost_usd_per_day"
                    else "add `rate_limit` under middleware, after auth",
                    severity="warning",
                )
                yield blamed(fault, _removed(subject, variation, name))


def _removed(subject: LintInput, variation: Variation, limit: str) -> Change | None:
    """Who takes away the middleware that enforces a limit."""
    enforcing = (
        item for item in subject.variations[0].checked.sections["middleware"] if limit in item.component.enforces
    )
    found = (variation.removal("middleware", item.id.partition("/")[2]) for item in enforcing)
    return next((removal for removal in found if removal is not None), variation.removal("middleware"))


def every_limiter_has_a_limit(subject: LintInput) -> Iterator[Diagnostic]:
    """Middleware that enforces limits where nothing can set one: neither the spec nor a provider."""
    limiters = [item for item in subject.items() if item.component.enforces]
    if not limiters or any(_may_set_limits(item) for item in subject.items()):
        return
    if any(not isinstance(limits.value, dict) or LIMITS & limits.value.keys() for _, _, limits in _written(subject)):
        return
    for item in limiters:
        yield Diagnostic(
            "idle-limiter",
            f"{item.id} has no limit to enforce",
            item.located.span,
            item.path,
            f"set one of {', '.join(sorted(item.component.enforces))} in it or in settings.limits, or remove it",
            severity="warning",
        )


def _may_set_limits(item: Item) -> bool:
    """Whether an item has a limit of its own, or is a provider whose values are known only at run time."""
    if item.component.kind.name == "providers":
        return item.located.get("values") is None
    return any(item.located.get(limit) is not None for limit in item.component.enforces)


def _written(subject: LintInput) -> Iterator[tuple[Variation, Path, Located]]:
    """Every map of limits that is in force, once with each `middleware`: with the first variation that has both."""
    seen: set[tuple[int, Path | int]] = set()
    for variation in subject.variations:
        middleware, providers = variation.checked.sections["middleware"], variation.checked.sections["providers"]
        for source in variation.sources:
            if (id(middleware), source) not in seen:
                seen.add((id(middleware), source))
                for path, limits in _limits(subject.document, (*source, "settings", "limits")):
                    yield variation, path, limits
        if (id(middleware), id(providers)) not in seen:
            seen.add((id(middleware), id(providers)))
            for item in providers:
                for path, limits in _limits(item.located, ("values", "settings", "limits")):
                    yield variation, (*item.path, *path), limits


def _limits(document: Located, path: Path) -> Iterator[tuple[Path, Located]]:
    found: Located | None = document
    for step in path:
        found = found.get(str(step)) if found is not None else None
    if found is not None:
        yield path, found
