"""Names between sections: a model is chosen, what is named is used, and a database fits the component that names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from victor_dsl.compiler.link import references
from victor_dsl.compiler.lint.answering import only_model
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.removals import Change, blamed
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.config import DatabaseConfig
from victor_dsl.language.template import RESERVED, VISIBLE
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path, Span


def a_model_is_chosen(subject: LintInput) -> Iterator[Diagnostic]:
    """For every variation, unless a provider or a request may choose. Reported once for each `models`."""
    seen: set[int] = set()
    for variation in subject.variations:
        models = variation.checked.document.get("models")
        names = models.value if models is not None else {}
        if not isinstance(names, dict) or len(names) == 1 or id(names) in seen or _chosen(variation):
            continue
        if only_model(variation.checked.sections["models"]) is not None:
            continue
        seen.add(id(names))
        label = f" for {variation.label}" if variation.label else ""
        if models is None or not names:
            message = f"the spec has no model{label}, so nothing can answer"
            removed = _models_removed(variation)
            hint = "add one: `models: {main: {type: echo}}`; `victor components list --kind models` lists their types"
        else:
            message = f"no model is chosen{label}: there are {', '.join(names)}"
            removed = variation.removal("settings", "model")
            hint = f"name one in `settings`: `model: {next(iter(names))}`"
        place = models if models is not None else variation.checked.document
        fault = Diagnostic("no-model", message, place.key_span or place.span, ("models",) if models else (), hint)
        yield blamed(fault, removed)


def _models_removed(variation: Variation) -> Change | None:
    written = variation.source.at(("models",)).value
    found = (variation.removal("models", name) for name in (written if isinstance(written, dict) else ()))
    return next((removal for removal in found if removal is not None), variation.removal("models"))


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


def a_name_is_declared_once(subject: LintInput) -> Iterator[Diagnostic]:
    """In `vars` or in `inputs`."""
    seen: set[Span] = set()
    for variation in subject.variations:
        for path, declared in _inputs(variation):
            span = declared.key_span or declared.span
            for _, var in variation.declarations(path[-1]):
                if span not in seen:
                    seen.add(span)
                    yield Diagnostic(
                        "duplicate-name",
                        f"'{path[-1]}' is declared in `inputs` and in `vars`",
                        span,
                        path,
                        "an input is what a request gives; write its `default` here, and remove the var",
                        related=(Related("the var", var.key_span or var.span),),
                    )


def templates_can_use_a_name(subject: LintInput) -> Iterator[Diagnostic]:
    """Of vars and inputs: none that every template sees already, and no word of the language of templates."""
    taken = VISIBLE | RESERVED
    seen: set[Span] = set()
    sources: set[Path] = set()
    for variation in subject.variations:
        new = [source for source in variation.sources if source not in sources]
        sources.update(new)
        for path, declared in (*_inputs(variation), *_vars(variation, new)):
            name = path[-1]
            if name not in taken or (span := declared.key_span or declared.span) in seen:
                continue
            seen.add(span)
            what = "an input" if path[0] == "inputs" else "a var"
            means = "templates see a value of the turn under it" if name in VISIBLE else "templates have it as a word"
            hint = f"{means}; choose another name"
            yield Diagnostic("bad-name", f"'{name}' cannot be the name of {what}", span, path, hint)


def _inputs(variation: Variation) -> Iterator[tuple[tuple[str, str], Located]]:
    for name in variation.inputs:
        yield ("inputs", name), variation.checked.document.at(("inputs", name))


def _vars(variation: Variation, sources: Iterable[Path]) -> Iterator[tuple[Path, Located]]:
    for source in sources:
        vars = variation.source.at(source).get("vars")
        for name, var in vars.value.items() if vars is not None and isinstance(vars.value, dict) else ():
            yield (*source, "vars", name), var


UNREAD: tuple[Path, ...] = (("variants", "*", "metrics"), ("variants", "*", "control"))
"""Keys of the language that this version checks and does not read; `*` is any name."""


def every_name_is_used(subject: LintInput) -> Iterator[Diagnostic]:
    """Databases and embedders need a reference; models too, where there are several and none comes from outside."""
    base = subject.variations[0].checked
    from_outside = any(item.component.type != "inline" for item in base.sections["providers"]) or (
        base.spec is not None and "model" in (base.spec.request or ())
    )
    only = only_model(base.sections["models"])
    tests = (base.spec.tests if base.spec is not None else None) or ()
    used = subject.used | {("models", test.expect.judge.model) for test in tests if test.expect.judge is not None}
    for kind in ("models", "databases", "embedders"):
        if kind == "models" and (len(base.sections[kind]) < 2 or from_outside):
            continue
        if kind == "models" and not any(of == kind for of, _ in used):
            continue  # none is chosen, which has a rule of its own
        names = {item.id.split("/", 1)[1] for item in base.sections[kind]}
        if any(of == kind and name not in names for of, name in used):
            continue  # one of them may be meant by the name that is not there
        for item in base.sections[kind]:
            name = item.id.split("/", 1)[1]
            if (kind, name) not in used and item is not only:
                yield Diagnostic(
                    "unused-name",
                    f"nothing uses '{name}' of {kind}",
                    item.located.key_span or item.located.span,
                    (kind, name),
                    "remove it, or refer to it where it should be used",
                    severity="warning",
                )


def every_key_has_an_effect(subject: LintInput) -> Iterator[Diagnostic]:
    """Warns about keys that have no effect yet."""
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


def databases_fit(subject: LintInput) -> Iterator[Diagnostic]:
    """Every reference to a database whose type is known to fit none of what the field takes."""
    for variation, item in subject.first:
        for annotation, name, leaf, path in references(item):
            if not annotation.dialects:
                continue
            database = next(
                (one for one in variation.checked.sections["databases"] if one.id == f"databases/{name}"), None
            )
            config = database.component.config if database is not None else None
            if database is None or config is None or not issubclass(config, DatabaseConfig):
                continue
            if config.dialect is not None and config.dialect not in annotation.dialects:
                wanted = " or ".join(annotation.dialects)
                yield Diagnostic(
                    "wrong-database",
                    f"{item.id} needs a database of type {wanted}, but '{name}' is of type {database.component.type}",
                    leaf.span,
                    path,
                    f"name a database of type {wanted}",
                    related=(Related("the database", database.located.key_span or database.located.span),),
                )
