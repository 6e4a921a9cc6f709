"""Templates: syntax, the files they name, and names, attributes and methods that are not there, each at its own line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.templates.sources import Source, TooManyParts, plain_parts, sources
from victor_dsl.compiler.templates.visible import VisibleNames
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.template import GLOBALS
from victor_dsl.lazy import Lazy
from victor_dsl.source.diagnostic import Diagnostic

_AGAIN = 4
"""How many times less it takes to compare the names of a parsed template than to parse it."""

if TYPE_CHECKING:
    from victor_dsl.compiler.templates import family as families
    from victor_dsl.compiler.templates import names as reading
    from victor_dsl.compiler.templates import trial
else:
    families = Lazy("victor_dsl.compiler.templates.family")
    reading = Lazy("victor_dsl.compiler.templates.names")
    trial = Lazy("victor_dsl.compiler.templates.trial")


def templates_are_sound(subject: LintInput) -> Iterator[Diagnostic]:
    """Every template, for the first variation that has it.

    Overlays add values and rarely take any away: only for those that do, or change inputs, every template is checked again.
    """
    names: dict[int, VisibleNames] = {}
    seen: set[Any] = set()
    checked: set[Any] = set()
    read: dict[int, tuple[Source, ...]] = {}
    for variation, item in _to_check(subject):
        if id(item) not in read:
            read[id(item)] = tuple(sources(item, subject.files, subject.included))
        elif subject.templates.parts_left < 0:
            continue  # it is a fault, and no template is compared again
        for source in read[id(item)]:
            if id(variation) not in names:
                names[id(variation)] = VisibleNames(variation, subject.templates)
            seen_by_it = names[id(variation)].of(item)
            if _suffices(seen_by_it, source):
                continue
            if (facts := _facts(subject, seen_by_it, source)) is not None:
                if facts in checked:
                    continue
                checked.add(facts)
            for fault in _faults(subject, seen_by_it, source):
                if (fault.code, fault.span) not in seen:
                    seen.add((fault.code, fault.span))
                    yield fault


def _to_check(subject: LintInput) -> Iterator[tuple[Variation, Item]]:
    yield from subject.first
    inputs = subject.variations[0].inputs
    for variation in subject.variations:
        if variation.inputs != inputs or any(
            _has_null(values) for layer in variation.overlays for values in (layer.settings, layer.vars)
        ):
            yield from ((variation, item) for item in variation.checked.items())


def _has_null(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and any(map(_has_null, value.values())))


def _facts(subject: LintInput, names: VisibleNames, source: Source) -> Any:
    """What the faults of a template depend on, where each name that it takes from outside has a value; else None."""
    family = families.read_family(source, subject.templates)
    read = frozenset[str]().union(*(parsed.undeclared for parsed in family.templates.values())) - GLOBALS
    if family.faults or "settings" in read or not read <= names.always or not read.isdisjoint(names.nulls):
        return None
    return (
        source,
        names.may_set,
        frozenset((name, id(names.vars.get(name)), id(names.known.get(name))) for name in read),
    )


def _faults(subject: LintInput, names: VisibleNames, source: Source) -> Iterator[Diagnostic]:
    family = families.read_family(source, subject.templates)
    yield from family.faults
    if not family.faults:
        try:
            subject.templates.charge(sum(parsed.parts for parsed in family.templates.values()) / _AGAIN)
        except TooManyParts:
            yield subject.templates.too_many(source)
            return
        found = list(reading.faults(family, names))
        yield from found
        tried = not subject.untrusted and subject.templates.work_left > 0
        if tried and not any(fault.severity == "error" for fault in found):
            yield from trial.trial_faults(family, names, subject.templates)


def _suffices(names: VisibleNames, source: Source) -> bool:
    """Whether a template has nothing but `{{ name }}` in it, with names that are always there: no need for Jinja2."""
    parts = plain_parts(source)
    return parts is not None and names.always.issuperset(parts[1::2])
