"""A model must answer: the only one, or the one that the settings name."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.compiler.variations import Variation
from victor_dsl.source.diagnostic import Diagnostic


def a_model_is_chosen(subject: Subject) -> Iterator[Diagnostic]:
    """For every variation; what providers and requests may choose is left to them. Said once for each `models`."""
    seen: set[int] = set()
    for variation in subject.variations:
        models = variation.checked.document.get("models")
        names = models.value if models is not None else {}
        if not isinstance(names, dict) or len(names) == 1 or id(names) in seen or _chosen(variation):
            continue
        seen.add(id(names))
        label = f" for {variation.label}" if variation.label else ""
        if models is None or not names:
            message = f"the spec has no model{label}, so nothing can answer"
            hint = "add one: `models: {main: {type: echo}}`; `victor components list --kind models` lists their types"
        else:
            message = f"no model is chosen{label}: there are {', '.join(names)}"
            hint = f"name one in `settings`: `model: {next(iter(names))}`"
        place = models if models is not None else variation.checked.document
        yield Diagnostic("no-model", message, place.key_span or place.span, ("models",) if models else (), hint)


def _chosen(variation: Variation) -> bool:
    """Whether the settings name a model, also by a variable that is not known, or something outside may."""
    spec = variation.checked.spec
    if spec is None or "model" in (spec.request or ()):
        return True
    for item in variation.checked.sections["providers"]:
        named = item.located.at(("values", "settings")).get("model")
        if item.component.type != "inline" or (named is not None and named.value is not None):
            return True
    return variation.names("model")
