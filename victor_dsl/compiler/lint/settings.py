"""Settings that a model which may answer is not sent, or refuses, and response formats that no model understands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from victor_dsl.compiler.lint.answering import Answering, answering
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.lint.json_schemas import schema_faults
from victor_dsl.compiler.validate import to_python
from victor_dsl.language.config import SettingFault
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path
from victor_dsl.values.settings import Settings

FORMATS = ("text", "json_object", "json_schema")


def models_accept_their_settings(subject: LintInput) -> Iterator[Diagnostic]:
    """For every variation and every model that may answer, with the settings that are then in force."""
    checked: set[tuple[int, ...]] = set()
    merged: dict[tuple[int, ...], Settings | None] = {}
    seen: set[tuple[object, ...]] = set()
    for variation in subject.variations:
        for model in answering(variation):
            layers = tuple(map(id, model.layers()))
            if model.config is None or (id(model.item), *layers) in checked:
                continue
            checked.add((id(model.item), *layers))
            if layers not in merged:
                merged[layers] = _settings(model)
            if (settings := merged[layers]) is None:
                continue
            for fault in model.config.setting_faults(settings):
                found = _diagnostic(model, fault, len(variation.checked.sections["models"]) > 1)
                if (key := (found.span, fault.setting, fault.effect, model.name)) not in seen:
                    seen.add(key)
                    yield found


def _settings(model: Answering) -> Settings | None:
    """The model's settings; None where a layer has faults, which were reported when it was read."""
    try:
        return Settings.model_validate(model.settings())
    except ValidationError:
        return None


def _diagnostic(model: Answering, fault: SettingFault, has_others: bool) -> Diagnostic:
    name, variation = f"settings.{fault.setting}", model.variation
    path, leaf = model.written(fault.setting) or ((), model.item.located)
    label = f" for {variation.label}" if variation.label else ""
    what = {
        "not sent": f"{name} is not sent to '{model.name}'",
        "changed": f"{name} is not sent to '{model.name}' as it is written",
        "refused": f"'{model.name}' refuses {name}",
    }[fault.effect]
    hint = "leave it out, or use another model"
    if fault.hint:
        hint = fault.hint
    elif has_others and variation.layer(fault.setting) is variation.spec:
        hint = f"if other models need it, unset it for this one: `models.{model.name}.settings.{fault.setting}: null`, or set another value"
    return Diagnostic(
        "setting-refused" if fault.effect == "refused" else "setting-not-sent",
        f"{what}{label}: {fault.reason}",
        leaf.key_span or leaf.span,
        path,
        hint,
        severity="error" if fault.effect == "refused" else "warning",
        related=(Related("the model", model.item.located.key_span or model.item.located.span),),
    )


def response_formats_are_valid(subject: LintInput) -> Iterator[Diagnostic]:
    """Every response format of the spec, its overlays, its inline providers and its models, once."""
    seen: set[int] = set()
    for path, leaf in _response_formats(subject):
        if id(leaf) in seen or not isinstance(leaf.value, dict):
            continue
        seen.add(id(leaf))
        value = to_python(leaf)
        if value.unknown:
            continue
        for at, message, hint in _faults(value.value):
            place = leaf.at(at)
            yield Diagnostic("bad-response-format", f"response_format: {message}", place.span, (*path, *at), hint)


def _response_formats(subject: LintInput) -> Iterator[tuple[Path, Located]]:
    for variation in subject.variations:
        for source in variation.sources:
            if (leaf := subject.document.at((*source, "settings")).get("response_format")) is not None:
                yield (*source, "settings", "response_format"), leaf
    for item in subject.items():
        for above in (("settings",), ("values", "settings")):
            if item.component.kind.name == ("models" if len(above) == 1 else "providers"):
                leaf = item.located.at(above).get("response_format")
                if leaf is not None:
                    yield (*item.path, *above, "response_format"), leaf


def _faults(value: Mapping[str, Any]) -> Iterable[tuple[Path, str, str | None]]:
    """The place of each fault, a message and a hint."""
    kind = value.get("type")
    if kind not in FORMATS:
        if kind is None:
            return [((), "it has no `type`", f"write one of {', '.join(FORMATS)}")]
        return [(("type",), f"there is no type '{kind}'", suggest(str(kind), FORMATS, what="types"))]
    if kind != "json_schema":
        return []
    holder = value.get("json_schema")
    if not isinstance(holder, dict) or not isinstance(holder.get("schema"), dict):
        wanted = "write `json_schema: {name: answer, schema: {type: object, properties: …}}`"
        return [(("json_schema",) if "json_schema" in value else (), "its `json_schema` has no `schema`", wanted)]
    if "name" not in holder:
        return [
            (("json_schema",), "its `json_schema` has no `name`, which OpenAI's API requires", "add `name: answer`")
        ]
    faults = schema_faults(holder["schema"])
    return [(("json_schema", "schema", *at), message, hint) for at, message, hint in faults]
