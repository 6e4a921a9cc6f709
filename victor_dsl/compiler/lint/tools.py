"""Tools that a model cannot take: results larger than its window, and more tools than a request may offer."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.answering import Answering, answering
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.removals import blamed
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.config import ToolConfig
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.interpolate import as_read
from victor_dsl.source.located import Located, Path

ONE_TOOL = ("python", "http")
"""Types of items that are one tool each."""

TOOL_CHOICES = ("auto", "none", "required")
"""Values of `tool_choice` that name no tool."""


def results_fit_the_windows(subject: LintInput) -> Iterator[Diagnostic]:
    """Every tool whose results may be longer than the whole window of a model that may answer, with the smallest."""
    seen: set[int] = set()
    for variation in subject.variations:
        if all(id(item) in seen for item in variation.checked.sections["tools"]):
            continue
        models = [(window, model) for model in answering(variation) if (window := model.window) is not None]
        if not models:
            continue
        window, model = min(models, key=lambda found: found[0])
        for item in variation.checked.sections["tools"]:
            config = item.config
            if not isinstance(config, ToolConfig) or config.max_result_tokens <= window or id(item) in seen:
                continue
            seen.add(id(item))
            written = item.located.get("max_result_tokens")
            default = "" if written is not None else ", the default,"
            yield Diagnostic(
                "large-results",
                f"max_result_tokens of {item.id} is {config.max_result_tokens:,}{default} but the window of '{model.name}' has "
                f"{window:,} tokens",
                written.span if written is not None else item.located.span,
                (*item.path, *(("max_result_tokens",) if written is not None else ())),
                f"set it well below {window:,}: a result is cut to the room that the conversation leaves",
                severity="warning",
                related=(_place(model),),
            )


def tools_are_not_too_many(subject: LintInput) -> Iterator[Diagnostic]:
    """Every model that refuses the number of tools which a request may offer, as far as the spec decides it."""
    seen: set[tuple[object, str]] = set()
    for variation in subject.variations:
        offered, place, path = _offered(variation)
        if not offered:
            continue
        for model in answering(variation):
            most = model.config.most_tools() if model.config is not None else None
            if most is None or offered <= most or (place.span, model.name) in seen:
                continue
            seen.add((place.span, model.name))
            label = f" for {variation.label}" if variation.label else ""
            yield Diagnostic(
                "too-many-tools",
                f"a request may offer {offered} tools{label}, but '{model.name}' accepts {most}",
                place.key_span or place.span,
                path,
                "choose fewer for each request, for example with `tool_selection: {k: 20}`",
                severity="warning",
                related=(_place(model),),
            )


def chosen_tools_exist(subject: LintInput) -> Iterator[Diagnostic]:
    """Every `tool_choice` that names no tool, where all tools of the spec are known. A request may bring tools of its own."""
    seen: set[Path] = set()
    for variation in subject.variations:
        written, tools = variation.written("tool_choice"), variation.checked.sections["tools"]
        if written is None or any(item.component.type not in ONE_TOOL for item in tools):
            continue
        path, located = written
        choice, names = as_read(located.value), [item.id.partition("/")[2] for item in tools]
        if not isinstance(choice, str) or choice in (*TOOL_CHOICES, *names):
            continue
        removed = variation.removal("tools", choice)
        if (place := path if removed is None else removed.path) in seen:
            continue
        seen.add(place)
        fault = Diagnostic(
            "unknown-tool",
            f"tool_choice names no tool of this spec: '{choice}'",
            located.span,
            path,
            "did you mean 'required'?" if choice == "any" else suggest(choice, (*TOOL_CHOICES, *names)),
            severity="warning",
        )
        yield blamed(fault, removed)


def _offered(variation: Variation) -> tuple[int, Located, Path]:
    """How many tools a request may offer, and the place that decides it; 0 where the spec does not say."""
    document, sections = variation.checked.document, variation.checked.sections
    tools, selection = sections["tools"], sections["tool_selection"]
    listed = document.at(("tools",)), ("tools",)
    count = sum(item.component.type in ONE_TOOL for item in tools)
    most, written = variation.value("k"), variation.written("k")
    if most is None or written is None:
        offers_all = document.get("tool_selection") is not None and selection and selection[0].component.type == "all"
        return (count if offers_all else 0, *listed)
    if count == len(tools) and count <= most:
        return (count, *listed)
    return (most, written[1], written[0])


def _place(model: Answering) -> Related:
    located = model.item.located
    return Related(f"the model '{model.name}'", (located.get("context_window") or located).span)
