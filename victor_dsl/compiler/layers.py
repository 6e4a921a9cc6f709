"""Takes the values (`settings`, `vars`) out of a spec or an overlay as a layer, with the place of each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from attrs import evolve

from victor_dsl.compiler.additions import take_additions
from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.overlays import leaves, same, type_of
from victor_dsl.compiler.validate import PythonValue, to_python, validate
from victor_dsl.language.kinds import KINDS
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.interpolate import Interpolated, as_written
from victor_dsl.source.located import Located, Path
from victor_dsl.values import additions
from victor_dsl.values.codec import json_faults
from victor_dsl.values.faults import Faulty, kind_of
from victor_dsl.values.inputs import Inputs, input_faults
from victor_dsl.values.model import NAME_RULES, VAR_PATTERN
from victor_dsl.values.settings import LIFTED, Layer, Origin, Settings, lifted_fields
from victor_dsl.values.typed import default_type, read_as, read_like


def layer_of(
    source: str, document: Located, at: Path, types: Mapping[str, str], spec: Layer | None = None
) -> tuple[Layer, list[Diagnostic]]:
    """The layer that a spec or overlay is, its component values (`tool_selection.k`) lifted into its settings.

    `types` are those of the spec's middleware, which an overlay calls by their names. The vars of an overlay are of the types
    that those of `spec` declare.
    """
    document, added = take_additions(document)
    lifts = tuple(_lifted(document, types))
    settings, diagnostics = _settings(document, at, lifts)
    values: dict[str, Any] = {}
    if settings is not None:
        model, faults = validate(
            Settings, settings, to_python(settings), (*at, "settings"), "settings", within=("settings",)
        )
        lifted = {value.span for _, _, value in lifts}
        diagnostics += [fault for fault in faults if fault.span not in lifted]  # their component's check reports them
        model = model or _sound(
            settings, {fault.path[len(at) + 1] for fault in faults if len(fault.path) > len(at) + 1}
        )
        values = model.model_dump(mode="json", exclude_unset=True) if model is not None else {}
    vars = document.get("vars")
    variables: Mapping[str, Any] = {}
    if vars is not None and isinstance(vars.value, dict):
        variables, faults = _vars(vars, (*at, "vars"), spec)
        diagnostics += faults
    elif vars is not None and spec is not None:
        message, hint = (
            f"vars must be a map, not {kind_of(as_written(vars.value))}",
            "write the names of vars, each with its value",
        )
        diagnostics.append(Diagnostic("wrong-type", message, vars.span, (*at, "vars"), hint))
    origins = _origins(source, settings=settings, vars=vars)
    return Layer(source, values, variables, origins, added=added), diagnostics


def values_in(document: Located, types: Mapping[str, str]) -> Iterator[tuple[Path, Path, Located]]:
    """Every value that a spec, an overlay or a provider sets: the path of the setting or var, its place, and the value.

    Those written on components and on models are among them. `types` are those of the spec's middleware.
    """
    for name in ("settings", "vars"):
        yield from _values_below(document, (name,), (name,))
    for place, setting, value in _lifted(document, types):
        yield ("settings", *setting), place, value
    models = document.get("models")
    for name in models.value if models is not None and isinstance(models.value, dict) else ():
        yield from _values_below(document, ("models", name, "settings"), ("settings",))


def _values_below(document: Located, place: Path, path: Path) -> Iterator[tuple[Path, Path, Located]]:
    holder = document.at(place[:-1]).get(str(place[-1]))
    if holder is not None and isinstance(holder.value, dict):
        yield from (((*path, *below), (*place, *below), leaf) for below, leaf in leaves(holder))
    elif holder is not None:
        yield path, place, holder


def vars_faults(values: Located, at: Path, declared: Mapping[str, Any], inputs: Inputs) -> list[Diagnostic]:
    """Why values are not of the types that the spec's own vars declare, or are inputs; every text is read."""
    vars, _ = additions.take_additions(to_python(values).value)
    faults = input_faults(vars, inputs)
    try:
        read_like(declared, vars if isinstance(vars, dict) else {}, ("vars",))
    except Faulty as error:
        faults += error.faults
    return _placed(Faulty(faults), values, at)


def _vars(vars: Located, at: Path, spec: Layer | None) -> tuple[Mapping[str, Any], list[Diagnostic]]:
    """The vars of a spec or overlay. What came from `${…}` is read as its declaration; all else is exact."""
    given = to_python(vars)
    faults = [] if spec is None else list(_bad_names(vars, at))  # the spec's own are part of the grammar
    if unwritable := list(json_faults(given.value, ("vars",))):
        return given.value, faults + _placed(Faulty(unwritable), vars, at)
    try:
        if spec is None:
            return _as_their_defaults(given), faults
        return read_like(spec.vars, given.value, ("vars",), partial(_is_from_outside, given)), faults
    except Faulty as error:
        return given.value, faults + _placed(error, vars, at)


def _is_from_outside(given: PythonValue, path: Path) -> bool:
    """Whether a value of `vars`, or a map or list that it is a part of, came from `${…}`."""
    return any(path[1:end] in given.interpolated for end in range(2, len(path) + 1))


def _bad_names(vars: Located, at: Path) -> Iterator[Diagnostic]:
    for name, value in vars.value.items():
        if re.match(VAR_PATTERN, name) is None:
            message, span = f"'{name[:80]}' cannot be a name here", value.key_span or value.span
            yield Diagnostic("bad-name", message, span, (*at, name), NAME_RULES[VAR_PATTERN])


def _as_their_defaults(vars: PythonValue) -> Mapping[str, Any]:
    """The spec's own vars: what is nothing but `${env:NAME:-default}` is of the type of its default. Raises Faulty."""
    faults = []
    for path, leaf in vars.interpolated.items():
        default = leaf.references[0].default if len(leaf.references) == 1 else None
        if leaf.value is None or default is None or str(leaf.references[0]) != leaf.text:
            continue
        if vars.unknown and any(isinstance(step, int) for step in path):
            continue  # a list without what is not known has other places
        try:
            read = read_as(default_type(default), leaf.value, ("vars", *path))
        except Faulty as error:
            faults += [evolve(fault, message=f"{fault.message}, as its default") for fault in error.faults]
            continue
        holder = vars.value
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = read
    if faults:
        raise Faulty(faults)
    values: Mapping[str, Any] = vars.value
    return values


def _placed(error: Faulty, vars: Located, at: Path) -> list[Diagnostic]:
    return [
        Diagnostic(fault.code, fault.message, vars.at(fault.path[1:]).span, (*at, *fault.path[1:]), fault.hint)
        for fault in error.faults
    ]


def model_layers(models: Iterable[Item]) -> dict[str, Layer]:
    """The layer of each model that has settings of its own, by its name."""
    layers: dict[str, Layer] = {}
    for item in models:
        settings = getattr(item.config, "settings", None)
        if settings is not None:
            values = settings.model_dump(mode="json", exclude_unset=True)
            origins = _origins(item.id, settings=item.located.get("settings"))
            layers[item.id.split("/", 1)[1]] = Layer(item.id, values, {}, origins)
    return layers


def _origins(source: str, **parts: Located | None) -> dict[str, Origin]:
    """Where each value of a layer was written, by its dotted path."""
    return {
        ".".join(map(str, (name, *path))): Origin(source, leaf.span.file, leaf.span.line)
        for name, part in parts.items()
        if part is not None and isinstance(part.value, dict)
        for path, leaf in leaves(part)
    }


def _settings(document: Located, at: Path, lifts: tuple[_Lift, ...]) -> tuple[Located | None, list[Diagnostic]]:
    """The settings section with what is written on components put in; twice and differently is a fault."""
    section = document.get("settings")
    if section is not None and not isinstance(section.value, dict):
        return section, []
    if section is None and not lifts:
        return None, []
    settings = section if section is not None else Located({}, document.span)
    diagnostics: list[Diagnostic] = []
    for place, setting, value in lifts:
        written = _written(settings, setting)
        if written is not None and not same(written, value):
            diagnostics.append(
                Diagnostic(
                    "set-twice",
                    f"{_dotted(place)} and settings.{_dotted(setting)} are the same setting, with different values",
                    value.span,
                    (*at, *place),
                    "write it in one place",
                    related=(Related("the other one", written.span),),
                )
            )
        settings = _with(settings, setting, value)
    return settings, diagnostics


def _written(settings: Located, path: Path) -> Located | None:
    found: Located | None = settings
    for step in path:
        found = found.get(str(step)) if found is not None else None
    return found


def _with(settings: Located, path: Path, value: Located) -> Located:
    """The settings with a value at a path; where something else than a map is in its way, as they were."""
    if not path:
        return value
    if not isinstance(settings.value, dict):
        return settings
    below = settings.value.get(path[0]) or Located({}, value.span)
    return Located({**settings.value, path[0]: _with(below, path[1:], value)}, settings.span, settings.key_span)


def _sound(settings: Located, faulty: set[Any]) -> Any:
    """The settings without faults among faulty ones, for the checks that follow."""
    if not isinstance(settings.value, dict):
        return None
    rest = Located({key: value for key, value in settings.value.items() if key not in faulty}, settings.span)
    return validate(Settings, rest, to_python(rest), (), "settings")[0]


_Lift = tuple[Path, Path, Located]
"""A setting that is written on a component: its place there, the setting's path, and the value."""


def _lifted(document: Located, types: Mapping[str, str]) -> Iterator[_Lift]:
    for section in dict.fromkeys(section for section, _ in LIFTED):
        for place, type, item in _components(section, document.get(section), types):
            for key, setting in lifted_fields(section, type).items():
                value = item.get(key)
                if value is not None and (value.value is None or isinstance(value.value, int | float | Interpolated)):
                    yield (*place, key), setting, value


def _components(
    name: str, section: Located | None, types: Mapping[str, str]
) -> Iterator[tuple[Path, str | None, Located]]:
    """The items of a section with their places and types; of an item in an overlay, the type may be the spec's."""
    kind = KINDS[name]
    if section is None:
        return
    if kind.shape == "one":
        yield (name,), None, section
    elif isinstance(section.value, list):
        for index, item in enumerate(section.value):
            yield (name, index), type_of(kind, item), item
    elif isinstance(section.value, dict):
        for key, item in section.value.items():
            yield (name, key), type_of(kind, item) or types.get(key), item


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
