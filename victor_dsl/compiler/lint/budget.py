"""The context budget, proved before anything runs: the parts of known size fit every model's window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from victor_dsl.compiler.check import Item
from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.config import FilePath
from victor_dsl.language.marks import marks
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Path, Span
from victor_dsl.values.settings import merge_deep
from victor_dsl.values.tokens import text_tokens


@frozen
class _Part:
    """A share of the window: its name, tokens, and the place that set it."""

    name: str
    tokens: int
    span: Span


def context_budget(subject: Subject) -> Iterator[Diagnostic]:
    """For every variation and every model that may answer: contributors, tools and the answer leave room for messages,
    and compaction begins before the window is full."""
    seen: set[tuple[str, Span]] = set()
    for variation in subject.variations:
        settings = _settled(variation)
        for model in _models(variation, settings):
            window = model.config.window() if model.config is not None else None  # type: ignore[attr-defined]
            if window is None or any("context_window" in path for path in model.unknown):
                continue
            for fault in _faults(subject, variation, settings, model, window):
                if (fault.code, fault.span) not in seen:
                    seen.add((fault.code, fault.span))
                    yield fault


def _faults(
    subject: Subject, variation: Variation, settings: Mapping[str, Any], model: Item, window: int
) -> Iterator[Diagnostic]:
    name = model.id.split("/", 1)[1]
    answer = settings.get("max_tokens") or 0
    parts = [*_prompt(subject, variation), *_tools(variation)]
    if answer:
        parts.append(_Part("settings.max_tokens", answer, _place(subject, variation, "max_tokens", model.located.span)))
    total = sum(part.tokens for part in parts)
    label = f" for {variation.label}" if variation.label else ""
    if parts and total >= window:
        parts.sort(key=lambda part: -part.tokens)
        shown = ", ".join(f"{part.name} {part.tokens:,}" for part in parts[:4])
        yield Diagnostic(
            "over-budget",
            f"{total:,} tokens are spoken for{label}, and the window of {name} has {window:,}: {shown}",
            parts[0].span,
            (),
            f"lower {parts[0].name}, or use a model with a larger window",
            related=(Related(f"the window of {name} ({window:,} tokens)", model.located.span),),
        )
        return
    threshold = settings.get("threshold")
    if threshold and answer and threshold * window > window - answer:
        yield Diagnostic(
            "compaction-too-late",
            f"compaction begins at {threshold:g} of the window of {name}{label}, but the answer's {answer:,} tokens leave "
            f"only {1 - answer / window:.2f} of it",
            _place(subject, variation, "threshold", model.located.span),
            (),
            f"set the threshold to at most {int((1 - answer / window) * 100) / 100:g}, or lower settings.max_tokens",
            related=(Related("the answer's share", _place(subject, variation, "max_tokens", model.located.span)),),
        )


def _settled(variation: Variation) -> Mapping[str, Any]:
    """The settings as far as the spec alone says them: layers that are read at run time may change them."""
    settled: dict[str, Any] = {}
    for layer in (variation.spec, *variation.overlays):
        settled = merge_deep(settled, layer.settings)
    return settled


def _models(variation: Variation, settings: Mapping[str, Any]) -> list[Item]:
    models = {item.id.split("/", 1)[1]: item for item in variation.checked.sections["models"]}
    named = [settings.get("model"), *(settings.get("fallbacks") or ())]
    found = [models[name] for name in named if name in models]
    return found or (list(models.values()) if len(models) == 1 else [])


def _prompt(subject: Subject, variation: Variation) -> Iterator[_Part]:
    """The system prompt's most tokens: its own limit, else those of its contributors that are known."""
    spec = variation.checked.spec
    if spec is not None and spec.prompt is not None and spec.prompt.max_tokens is not None:
        place = variation.checked.document.at(("prompt", "max_tokens")).span
        yield _Part("prompt.max_tokens", spec.prompt.max_tokens, place)
        return
    for item in variation.checked.sections["contributors"]:
        limit = getattr(item.config, "max_tokens", None)
        limit = limit if limit is not None else _known(subject, item)
        if limit:
            leaf = item.located.get("max_tokens")
            yield _Part(item.id, limit, (leaf or item.located).span)


def _known(subject: Subject, item: Item) -> int | None:
    """The tokens of a contributor whose whole text the spec holds or includes."""
    if item.config is None:
        return None
    text = getattr(item.config, "text", None)
    if isinstance(text, str):
        return text_tokens(text)
    for name, mark in marks(item.component.config).items():
        if isinstance(mark, FilePath) and mark.included and not mark.template and getattr(item.config, name):
            try:
                return text_tokens(subject.included.read(getattr(item.config, name)).decode("utf-8", "replace"))
            except OSError:
                return None
    return None


def _tools(variation: Variation) -> Iterator[_Part]:
    for item in variation.checked.sections["tools"]:
        limit = getattr(item.config, "max_tokens", None)
        leaf = item.located.get("max_tokens")
        if limit and leaf is not None:
            yield _Part(item.id, limit, leaf.span)


def _place(subject: Subject, variation: Variation, name: str, otherwise: Span) -> Span:
    """Where a setting's value in force was written: in an arm, the tenant, the spec; as a setting or on its component."""
    overlays: list[Path] = [("variants", experiment, "arms", arm, "with") for experiment, arm in variation.arms[::-1]]
    if variation.tenant is not None:
        overlays.append(("tenants", variation.tenant, "with"))
    for overlay in (*overlays, ()):
        for section in ("settings", "compaction"):
            leaf = subject.document.at((*overlay, section)).get(name)
            if leaf is not None:
                return leaf.span
    return otherwise
