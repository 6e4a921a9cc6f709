"""The context budget, proved before anything runs: the parts of known size fit every model's window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, field, frozen

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.answering import Answering, answering
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.templates.sources import plain_parts, sources
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.annotations import FilePath, annotated_fields
from victor_dsl.language.kinds import MESSAGES
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Span
from victor_dsl.values.tokens import MESSAGE_OVERHEAD, estimated_tokens


@frozen
class _Part:
    """A share of the window: its name, tokens, and the place that set it."""

    name: str
    tokens: int
    span: Span


def context_budget(subject: LintInput) -> Iterator[Diagnostic]:
    """For every variation and every model that may answer: contributors, tools and the answer leave room for messages,
    and compaction begins before the window is full."""
    seen: set[tuple[str, Span]] = set()
    sound: set[tuple[Any, ...]] = set()
    sizes = _Sizes(subject)
    for variation in subject.variations:
        settings = ("model", "fallbacks", "max_tokens", "threshold")
        written = [id(piece.leaf) for name in settings for piece in variation.pieces(name)]
        facts = (id(variation.checked.sections["models"]), sizes.total(variation), *written)
        if facts in sound:
            continue
        faulty = False
        for model in answering(variation):
            if (window := model.window) is None:
                continue
            for fault in _faults(sizes, model, window):
                faulty = True
                if (fault.code, fault.span) not in seen:
                    seen.add((fault.code, fault.span))
                    yield fault
        if not faulty:
            sound.add(facts)


def _faults(sizes: _Sizes, model: Answering, window: int) -> Iterator[Diagnostic]:
    name, variation, settings = model.name, model.variation, model.settings()
    answer, threshold = settings.get("max_tokens") or 0, settings.get("threshold") or 0.0
    total = sizes.total(variation) + answer
    if total < window and (not answer or threshold * window <= window - answer):
        return
    label = f" for {variation.label}" if variation.label else ""
    if total >= window:
        parts = sizes.of(variation)
        if answer:
            parts.append(_Part("settings.max_tokens", answer, _place(model, "max_tokens")))
        parts.sort(key=lambda part: -part.tokens)
        shown = ", ".join(f"{part.name} {part.tokens:,}" for part in parts[:4])
        shown += f" and {len(parts) - 4} more" if len(parts) > 4 else ""
        yield Diagnostic(
            "over-budget",
            f"{total:,} tokens are reserved ({shown}){label}, but the window of {name} has {window:,}",
            parts[0].span,
            (),
            f"lower {parts[0].name}, or use a model with a larger window",
            related=(Related(f"the window of {name}", _window_place(model)),),
        )
    else:
        yield Diagnostic(
            "compaction-too-late",
            f"compaction begins at {threshold:g} of the window of {name}{label}, but the answer's {answer:,} tokens leave "
            f"only {1 - answer / window:.2f} of it",
            _place(model, "threshold"),
            (),
            f"set the threshold to at most {int((1 - answer / window) * 100) / 100:g}, or lower settings.max_tokens",
            related=(Related("the answer's share", _place(model, "max_tokens")),),
        )


@define
class _Sizes:
    """The parts of known size, kept by section: variations share most of them."""

    subject: LintInput
    _sections: dict[int, tuple[_Part, ...]] = field(factory=dict)
    _items: dict[int, _Part | None] = field(factory=dict)
    _totals: dict[int, int] = field(factory=dict)

    def total(self, variation: Variation) -> int:
        """The tokens of all parts."""
        spec, sections = variation.checked.spec, variation.checked.sections
        rest = sum(self._tokens(sections[name]) for name in ("tools", *MESSAGES))
        if spec is not None and spec.prompt is not None and spec.prompt.max_tokens is not None:
            return spec.prompt.max_tokens + rest
        return self._tokens(sections["contributors"]) + rest

    def of(self, variation: Variation) -> list[_Part]:
        """The prompt's parts, by its own limit or by its contributors', the tools' and the messages'."""
        checked = variation.checked
        rest = [part for name in ("tools", *MESSAGES) for part in self._section(checked.sections[name])]
        if checked.spec is not None and checked.spec.prompt is not None and checked.spec.prompt.max_tokens is not None:
            place = checked.document.at(("prompt", "max_tokens")).span
            return [_Part("prompt.max_tokens", checked.spec.prompt.max_tokens, place), *rest]
        return [*self._section(checked.sections["contributors"]), *rest]

    def _tokens(self, section: tuple[Item, ...]) -> int:
        if id(section) not in self._totals:
            self._totals[id(section)] = sum(part.tokens for part in self._section(section))
        return self._totals[id(section)]

    def _section(self, section: tuple[Item, ...]) -> tuple[_Part, ...]:
        if id(section) not in self._sections:
            for item in section:
                if id(item) not in self._items:
                    self._items[id(item)] = self._item(item)
            parts = (self._items[id(item)] for item in section)
            self._sections[id(section)] = tuple(part for part in parts if part is not None)
        return self._sections[id(section)]

    def _item(self, item: Item) -> _Part | None:
        tokens = getattr(item.config, "max_tokens", None) or self._text_tokens(item)
        if tokens and item.path[0] == "messages":
            tokens += MESSAGE_OVERHEAD
        leaf = item.located.get("max_tokens")
        return _Part(item.id, tokens, (leaf or item.located).span) if tokens else None

    def _text_tokens(self, item: Item) -> int | None:
        """The tokens of a contributor's text, as far as the spec and its files have it: of a template, what stands between values."""
        if item.config is None:
            return None
        text = getattr(item.config, "text", None)
        if isinstance(text, str):
            return estimated_tokens(text)
        if (source := next(sources(item, self.subject.files, self.subject.included), None)) is not None:
            parts = plain_parts(source)
            return None if parts is None else estimated_tokens("".join(parts[::2]).strip())
        for name, annotation in annotated_fields(item.component.config).items():
            path = getattr(item.config, name)
            if isinstance(annotation, FilePath) and annotation.included and isinstance(path, str):
                try:
                    return estimated_tokens(self.subject.included.read(path).decode("utf-8", "replace"))
                except OSError:
                    return None
        return None


def _place(model: Answering, setting: str) -> Span:
    written = model.written(setting)
    return written[1].span if written is not None else model.item.located.span


def _window_place(model: Answering) -> Span:
    return (model.item.located.get("context_window") or model.item.located).span
