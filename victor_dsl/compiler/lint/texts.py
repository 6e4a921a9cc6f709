"""Texts that the model gets otherwise than they look: a ` #` without quotes begins a comment in YAML, and a text is no template."""

from __future__ import annotations

import re
from collections.abc import Iterator

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.language.annotations import TemplateText, annotated_fields
from victor_dsl.language.template import VISIBLE
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import as_read, as_written
from victor_dsl.source.located import Located, Path, Span

_TEXTS = ("text", "template", "description")
_COMMENT = re.compile(r" +(#.*)")
_VALUE = re.compile(r"\{\{-?\s*+([A-Za-z_]\w*+)[^{}]*+\}\}")
_SENTENCE_ENDS = (".", "!", "?", ":", ";", "…", ")", "}")


def no_text_is_cut_short(subject: LintInput) -> Iterator[Diagnostic]:
    """Texts that a comment ends in the middle of a sentence, or whose comment begins like `#4711`."""
    for item in subject.items():
        for path, leaf in _texts(item):
            text, comment = as_written(leaf.value), _comment(subject, leaf)
            if not isinstance(text, str) or comment is None:
                continue
            written, span = comment
            if written[1:2].isalnum() or not text.rstrip().endswith(_SENTENCE_ENDS):
                message = f"'{written[:40]}' begins a comment, so it is not part of the {path[-1]}"
                hint = "put the whole text in quotes; or write the comment on a line of its own"
                yield Diagnostic("comment-in-text", message, span, path, hint, severity="warning")


def no_text_is_a_template(subject: LintInput) -> Iterator[Diagnostic]:
    """Texts with `{{ name }}`: it is sent as it is written, also where templates would see the name."""
    for variation, item in subject.first:
        leaf = item.located.get("text") if item.id.partition("/")[0] in ("contributors", "messages") else None
        text = as_read(leaf.value) if leaf is not None else None
        if leaf is None or not isinstance(text, str) or "text" not in item.component.config.model_fields:
            continue
        known = {
            *VISIBLE,
            *variation.inputs,
            *(name for layer in (variation.spec, *variation.overlays) for name in layer.vars),
        }
        values = list(_VALUE.finditer(text))
        found = next((found for found in values if found[1] in known), None) or next(iter(values), None)
        if found is not None:
            message = f"a `text` is sent as it is written, with '{found[0][:60]}' in it"
            hint = "was a template meant? write `template` instead of `text`, which fills it in" + (
                "" if item.id.startswith("messages/") else ": `type: template`, `template: …`"
            )
            if found[1] not in known:
                hint += f"; and declare '{found[1]}' under `vars`"
            path = (*item.path, "text")
            yield Diagnostic(
                "template-in-text", message, _place(subject, leaf, found[0]), path, hint, severity="warning"
            )


def _place(subject: LintInput, leaf: Located, part: str) -> Span:
    """The place of a part of a text; of the whole text where that is written otherwise."""
    lines, span = subject.files.lines(leaf.span.file), leaf.span
    for number in range(span.line, min(span.end_line, len(lines)) + 1):
        column = lines[number - 1].find(part, span.column - 1 if number == span.line else 0)
        if column >= 0:
            return Span(span.file, number, column + 1, number, column + 1 + len(part))
    return span


def _texts(item: Item) -> Iterator[tuple[Path, Located]]:
    annotated = annotated_fields(item.component.config)
    names = {*_TEXTS, *(name for name, annotation in annotated.items() if isinstance(annotation, TemplateText))}
    for name in item.component.config.model_fields:
        if name in names and (leaf := item.located.get(name)) is not None:
            yield (*item.path, name), leaf


def _comment(subject: LintInput, leaf: Located) -> tuple[str, Span] | None:
    """The comment right behind a text without quotes, and its place."""
    span = leaf.span
    if span.file.lower().endswith(".json"):
        return None
    lines = subject.files.lines(span.file)
    if span.end_line > len(lines) or lines[span.line - 1][span.column - 1 : span.column] in ('"', "'", "|", ">", ""):
        return None
    line = lines[span.end_line - 1]
    found = _COMMENT.fullmatch(line, span.end_column - 1)
    if found is None:
        return None
    return found[1], Span(span.file, span.end_line, found.start(1) + 1, span.end_line, len(line.rstrip()) + 1)
