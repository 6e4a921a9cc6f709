"""Hints for faults that a Config or the grammar finds, where the rest of the language says more than the schema."""

from __future__ import annotations

from attrs import evolve

from victor_dsl.language.kinds import Kind
from victor_dsl.language.spec import OWN, SECTIONS, VERSION
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.values.settings import MODEL_SETTINGS, SETTING_NAMES


def with_section_hint(fault: Diagnostic) -> Diagnostic:
    """A fault of a spec's sections. The hint knows all of the language: its version, the sections, overlays."""
    path = fault.path
    if (
        path[:1] == ("tests",) and len(path) > 1
    ):  # its number there is that of the test among all, parameters multiplied
        return evolve(fault, message=fault.message.removeprefix(f"tests[{path[1]}]").removeprefix("."))
    if fault.code == "missing-key" and fault.message.endswith("lacks 'victor'"):
        hint = f"add `victor: {VERSION}`"
    elif fault.code != "unknown-key":
        return fault
    elif len(path) == 1:
        key = str(path[0])
        hint = suggest(key, SECTIONS, what="sections", most=len(SECTIONS))
        if key[:2].lower() in ("x-", "x_"):
            hint = f"keys of your own begin with `{OWN}`: write `{OWN}{key[2:]}`"
    elif path[-1] in SECTIONS and (path[0], len(path)) in (("tenants", 3), ("variants", 5)):
        hint = "write it under `with`"
    else:
        return fault
    return Diagnostic(fault.code, fault.message, fault.span, path, hint)


def with_item_hint(fault: Diagnostic, kind: Kind) -> Diagnostic:
    """A fault of an item. For a setting that is written on a model, the hint says where settings are written."""
    name = str(fault.path[-1]) if fault.path else ""
    if kind.name != "models" or fault.code != "unknown-key" or name not in SETTING_NAMES:
        return fault
    place, message = fault.path[2:-1], fault.message
    if place == ():
        where = "the `settings` of this model" if name in MODEL_SETTINGS else "the spec's own `settings`"
        hint = f"it is a setting: write it in {where}"
    elif place == ("settings",):
        allowed = ", ".join(MODEL_SETTINGS)
        hint = f"it holds for whole turns: write it in the spec's own `settings`; a model may have {allowed}"
        message = f"a model has no '{name}' of its own"
    else:
        return fault
    return Diagnostic(fault.code, message, fault.span, fault.path, hint)


def with_message_hint(fault: Diagnostic) -> Diagnostic:
    """A fault of `messages` or `message`. For keys and roles of other formats, the hint says how it is written here."""
    if fault.path[-1:] == ("role",) and fault.message.endswith("'system'"):
        return evolve(fault, hint="the system prompt is written by `contributors`")
    if fault.code == "unknown-key" and fault.path[-1] == "content":
        return evolve(fault, hint="write it as `text`, or as `template` with `{{ … }}`")
    return fault
