"""Takes the values (`settings`, `vars`) out of a spec or an overlay as a layer, with the place of each."""

from __future__ import annotations

from typing import Any

from victor_dsl.compiler.overlays import leaves, same
from victor_dsl.compiler.plain import plain
from victor_dsl.compiler.validate import validate
from victor_dsl.language.spec import SettingsSection
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import Located, Path
from victor_dsl.values.settings import LIFTED, Layer, Origin


def layer_of(source: str, document: Located, at: Path) -> tuple[Layer, list[Diagnostic]]:
    """The layer that a spec or overlay is, its component values (`tool_selection.k`) lifted into its settings."""
    settings, diagnostics = _settings(document, at)
    values: dict[str, Any] = {}
    if settings is not None:
        model, faults = validate(
            SettingsSection, settings, plain(settings), (*at, "settings"), "settings", within="settings"
        )
        lifted = {settings.value[key].span for key in _lifted(document)} if isinstance(settings.value, dict) else set()
        diagnostics += [fault for fault in faults if fault.span not in lifted]  # their component's check reports them
        model = model or _sound(
            settings, {fault.path[len(at) + 1] for fault in faults if len(fault.path) > len(at) + 1}
        )
        values = model.model_dump(exclude_unset=True) if model is not None else {}
    vars = document.get("vars")
    variables = plain(vars).value if vars is not None and isinstance(vars.value, dict) else {}
    origins: dict[str, Origin] = {}
    for name, part in (("settings", settings), ("vars", vars)):
        if part is not None and isinstance(part.value, dict):
            for path, leaf in leaves(part):
                origins[".".join(map(str, (name, *path)))] = Origin(source, leaf.span.file, leaf.span.line)
    return Layer(source, values, variables, origins), diagnostics


def _settings(document: Located, at: Path) -> tuple[Located | None, list[Diagnostic]]:
    """The settings section with what is written on components put in; twice and differently is a fault."""
    section = document.get("settings")
    diagnostics: list[Diagnostic] = []
    lifted = {} if section is None or not isinstance(section.value, dict) else dict(section.value)
    for key, (name, value) in _lifted(document).items():
        if key in lifted and not same(lifted[key], value):
            diagnostics.append(
                Diagnostic(
                    "set-twice",
                    f"{name}.{key} and settings.{key} are one setting, and say different things",
                    value.span,
                    (*at, name, key),
                    "write it in one place",
                    related=(Related("the other one", lifted[key].span),),
                )
            )
        lifted[key] = value
    if not lifted and section is None:
        return None, diagnostics
    if section is not None and not isinstance(section.value, dict):
        return section, diagnostics
    span = section.span if section is not None else document.span
    return Located(lifted, span, section.key_span if section is not None else None), diagnostics


def _sound(settings: Located, faulty: set[Any]) -> Any:
    """What can be checked further of faulty settings: those without faults."""
    if not isinstance(settings.value, dict):
        return None
    rest = Located({key: value for key, value in settings.value.items() if key not in faulty}, settings.span)
    return validate(SettingsSection, rest, plain(rest), (), "settings")[0]


def _lifted(document: Located) -> dict[str, tuple[str, Located]]:
    """The settings that are written on a component: its section and the value, by key."""
    found: dict[str, tuple[str, Located]] = {}
    for name, keys in LIFTED.items():
        component = document.get(name)
        for key in keys:
            value = component.get(key) if component is not None else None
            if value is not None and (value.value is None or isinstance(value.value, int | float | Interpolated)):
                found[key] = (name, value)
    return found
