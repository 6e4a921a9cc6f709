"""The fixed beginning of requests and providers' prompt caches: what differs between sessions or turns should stand behind fixed text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.stability import Stability
from victor_dsl.compiler.templates.pieces import Varies
from victor_dsl.compiler.variations import Variation
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Span
from victor_dsl.values.tokens import CHARACTERS_PER_TOKEN

LEAST_TOKENS = 1_024
"""The least fixed text worth a warning: the shortest prefix that OpenAI, and most models of Anthropic, cache."""


def what_varies_comes_last(subject: LintInput) -> Iterator[Diagnostic]:
    """For each variation, the first place that varies, where much fixed text stands after it."""
    stability = Stability(subject.templates)
    sections: set[tuple[Any, ...]] = set()
    seen: set[Span] = set()
    for variation in subject.variations:
        varying = stability.varying(variation)
        key = (*(id(variation.checked.sections[name]) for name in ("contributors", "messages")), varying)
        if key in sections:
            continue
        sections.add(key)
        for fault in _faults(stability, variation, varying):
            if fault.span not in seen:
                seen.add(fault.span)
                yield fault


def _faults(stability: Stability, variation: Variation, varying: frozenset[str]) -> Iterator[Diagnostic]:
    items = [*stability.sent(variation), *variation.checked.sections["messages"]]
    if sum(map(stability.most_characters, items)) < LEAST_TOKENS * CHARACTERS_PER_TOKEN:
        return
    first: tuple[Varies, Item] | None = None
    same = later = messages = 0
    may_swap = False
    for item in items:
        for piece in stability.pieces(item, varying):
            if isinstance(piece, Varies):
                first = first or (piece, item)
            elif first is not None and item is first[1]:
                same += piece.characters
            elif first is not None and item.path[0] == "messages":
                messages += piece.characters
            elif first is not None:
                later += piece.characters
                may_swap |= _priority(item) == _priority(first[1])
    tokens = (same + later + messages) // CHARACTERS_PER_TOKEN
    if first is None or tokens < LEAST_TOKENS:
        return
    piece, item = first
    label = f" for {variation.label}" if variation.label else ""
    if messages > same + later:
        hint = f"move what uses '{piece.name}' to the template of what the user says (`message`), which comes last"
    elif same > later:
        hint = f"move what uses '{piece.name}' to the end of the template, or into a contributor of a lower priority"
    else:
        hint = "give the fixed text a higher priority" + (", or write `prompt: {order: stability}`" if may_swap else "")
    yield Diagnostic(
        "volatile-before-stable",
        f"'{piece.name}' differs between sessions or turns{label}, and {tokens:,} tokens of fixed text stand after it: "
        "a provider's prompt cache ends there",
        piece.span,
        item.path,
        hint,
        severity="warning",
    )


def _priority(item: Item) -> int:
    return int(getattr(item.config, "priority", 50))
