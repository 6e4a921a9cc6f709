"""Templates: syntax, the files they name, and names, attributes and methods that are not there, each at its own line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.templates.sources import Source, plain_parts, sources
from victor_dsl.compiler.templates.visible import VisibleNames
from victor_dsl.lazy import Lazy
from victor_dsl.source.diagnostic import Diagnostic

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
    pairs = list(subject.first)
    inputs = subject.variations[0].inputs
    for variation in subject.variations:
        if variation.inputs != inputs or any(
            _has_null(values) for layer in variation.overlays for values in (layer.settings, layer.vars)
        ):
            pairs += [(variation, item) for item in variation.checked.items()]
    names: dict[int, VisibleNames] = {}
    seen: set[Any] = set()
    for variation, item in pairs:
        for source in sources(item, subject.files, subject.included):
            if id(variation) not in names:
                names[id(variation)] = VisibleNames(variation, subject.files)
            seen_by_it = names[id(variation)].of(item)
            if _suffices(seen_by_it, source):
                continue
            for fault in _faults(subject, seen_by_it, source):
                if (fault.code, fault.span) not in seen:
                    seen.add((fault.code, fault.span))
                    yield fault


def _has_null(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and any(map(_has_null, value.values())))


def _faults(subject: LintInput, names: VisibleNames, source: Source) -> Iterator[Diagnostic]:
    family = families.read_family(source, subject.files, subject.included)
    yield from family.faults
    if not family.faults:
        found = list(reading.faults(family, names))
        yield from found
        if not subject.untrusted and not any(fault.severity == "error" for fault in found):
            yield from trial.trial_faults(family, names)


def _suffices(names: VisibleNames, source: Source) -> bool:
    """Whether a template has nothing but `{{ name }}` in it, with names that are always there: no need for Jinja2."""
    parts = plain_parts(source)
    always = {"session", "tenant", "user", *names.vars} - {steps[0] for steps in names.unset if len(steps) == 1}
    return parts is not None and set(parts[1::2]) <= always
