"""Hints for faults that a Config or the grammar finds, where the rest of the language says more than the schema."""

from __future__ import annotations

import re

from attrs import evolve

from victor_dsl.language.kinds import Kind
from victor_dsl.language.spec import OWN, SECTIONS, VERSION, Experiment
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.values.settings import MODEL_SETTINGS, SETTING_NAMES

FOREIGN = {
    **dict.fromkeys(
        ("system", "system_prompt", "prompts", "instructions"),
        "the system prompt belongs under `contributors`: `contributors: [{type: text, text: …}]`",
    ),
    **dict.fromkeys(("mcp", "mcp_servers"), "MCP servers belong under `tools`: `tools: [{type: mcp, …}]`"),
    **dict.fromkeys(("experiments", "arms"), "experiments belong under `variants`: `variants: {NAME: {arms: {…}}}`"),
}
"""How sections of other formats are written here."""
_NUMBER = re.compile(r"not (\d+(?:\.\d+)?)")
_VARIABLE = re.compile(
    r"\$\{\s*(?:env\s*[.:]\s*)?([A-Za-z_]\w*)\s*\}|\$([A-Z][A-Z0-9_]*_(?:DSN|KEY|PASSWORD|SECRET|TOKEN|UR[IL]))"
)
_ANY_VARIABLE = re.compile(r"\$([A-Z][A-Z0-9_]*)")


def variable_meant(text: object, *, shown: bool = False) -> str | None:
    """The variable that a text such as `${NAME}`, `${env.NAME}` or `$AN_API_KEY` was meant to be, as a reference that YAML accepts
    anywhere. Any other text after a `$` may be a secret, and is none, unless it is `shown` anyway: then `$NAME` is one."""
    found = _VARIABLE.fullmatch(text) if isinstance(text, str) else None
    if found is None and isinstance(text, str) and shown:
        found = _ANY_VARIABLE.fullmatch(text)
    return f'"${{env:{found[found.lastindex or 0]}}}"' if found else None


def with_section_hint(fault: Diagnostic) -> Diagnostic:
    """A fault of a spec's sections. The hint knows all of the language: its version, the sections, overlays."""
    path, hint = fault.path, None
    if (
        path[:1] == ("tests",) and len(path) > 1
    ):  # its number there is that of the test among all, parameters multiplied
        return evolve(fault, message=fault.message.removeprefix(f"tests[{path[1]}]").removeprefix("."))
    if fault.code == "missing-key" and fault.message.endswith("lacks 'victor'"):
        hint = f"add `victor: {VERSION}`"
    elif fault.code == "wrong-type" and path == ("prompt",):
        hint = FOREIGN["system"]
    elif fault.code == "wrong-type":
        hint = _arm_hint(fault)
    elif fault.code == "unknown-key" and len(path) == 1:
        hint = _top_hint(str(path[0]))
    elif fault.code == "unknown-key" and (path[0], len(path)) == ("variants", 3):
        hint = _experiment_hint(str(path[-1]))
    elif fault.code == "unknown-key" and (path[0], len(path)) in (("tenants", 3), ("variants", 5)):
        hint = _overlay_hint(str(path[-1]))
    return evolve(fault, hint=hint) if hint else fault


def _top_hint(key: str) -> str:
    """Where a key belongs that is no section."""
    if key == "model":
        return (
            "models are written under `models`; which one answers belongs under `settings`: `settings: {model: NAME}`"
        )
    if key in SETTING_NAMES:
        return f"'{key}' belongs under `settings`: write `settings: {{{key}: …}}`"
    if key in FOREIGN:
        return FOREIGN[key]
    if key[:2].lower() in ("x-", "x_"):
        return f"keys of your own begin with `{OWN}`: write `{OWN}{key[2:]}`"
    return suggest(key, SECTIONS, what="sections", most=len(SECTIONS))


def _overlay_hint(key: str) -> str | None:
    """Where a key belongs that a tenant or an arm does not have itself."""
    within = f"{key}: …" if key in SECTIONS else f"settings: {{{key}: …}}" if key in SETTING_NAMES else None
    return f"'{key}' belongs under `with`: write `with: {{{within}}}`" if within else None


def _experiment_hint(key: str) -> str | None:
    """Where a key of an experiment belongs that is likely the name of an arm."""
    if nearest(key, Experiment.model_fields):
        return None
    return f"arms belong under `arms`: write `arms: {{{key}: {{weight: …}}}}`"


def _arm_hint(fault: Diagnostic) -> str | None:
    """How arms are written, where they are numbers or a list."""
    section, _, arms, *names = (*fault.path, "", "", "")[: max(3, len(fault.path))]
    weight = _NUMBER.search(fault.message)
    if (section, arms) != ("variants", "arms"):
        return None
    if len(names) == 1 and weight:
        return f"an arm is a map: write `{names[0]}: {{weight: {weight[1]}}}`"
    if not names and fault.message.endswith("a list"):
        return "each arm has a name: write `arms: {a: {weight: 1}, b: {weight: 1}}`"
    return None


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


OTHER_TYPES = {("tools", "function"): "python", ("exporters", "dashboard"): "websocket"}
"""Types of a kind by other names that people look for."""


def shape_hint(kind: Kind, written: object, wanted: str) -> str:
    """How a section is written that should be `a list` or a map of items."""
    if wanted != "a list":
        return "write each item as `NAME: {type: …}`"
    if isinstance(written, str) and kind.name == "contributors" and " " in written:
        return "a text of the system prompt is written as `[{type: text, text: …}]`"
    if isinstance(written, str):
        return f"write it as a list: `[{written[:40]}]`"
    if isinstance(written, dict):
        return "write it as a list, each item with its name: `- {name: …, type: …}`"
    return "write each item as `- {type: …}`"


def type_meant(kind: Kind, type: str) -> str | None:
    """What a `type` was meant to be that another tool, or another section, calls by this name."""
    if kind.name == "contributors" and " " in type:
        return "a text of the system prompt is written as `{type: text, text: …}`;"
    other = OTHER_TYPES.get((kind.name, type))
    return f"did you mean '{other}'?" if other else None


def model_type_hint(type: str) -> str:
    """What to write where the `type` of a model is the name of a model, or of a server."""
    if type.startswith("claude"):
        return f"'{type}' is a model, and `type` its API: write `{{type: anthropic, model: {type}}}`"
    if any(character.isdigit() for character in type):
        return f"'{type}' looks like a model, and `type` is its API: write `{{type: openai, model: {type}}}`"
    return "most servers have the API of OpenAI: write `type: openai`, and their address as `base_url`"


def with_message_hint(fault: Diagnostic) -> Diagnostic:
    """A fault of `messages` or `message`. For keys and roles of other formats, the hint says how it is written here."""
    if fault.path[-1:] == ("role",) and fault.message.endswith("'system'"):
        return evolve(fault, hint="the system prompt is written by `contributors`")
    if fault.code == "unknown-key" and fault.path[-1] == "content":
        return evolve(fault, hint="write it as `text`, or as `template` with `{{ … }}`")
    return fault
