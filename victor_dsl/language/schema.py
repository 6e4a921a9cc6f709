"""The JSON Schema of a spec, generated from the grammar and every component: for editors and other validators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from victor_dsl.errors import BrokenComponent
from victor_dsl.language.annotations import Nested, annotated_fields
from victor_dsl.language.component import Component
from victor_dsl.language.kinds import KINDS, Kind
from victor_dsl.language.registry import Registry
from victor_dsl.language.spec import OWN, UNTOUCHABLE, VERSION, Spec, section_rank
from victor_dsl.language.spec_tests import Test

Json = dict[str, Any]

_REFERENCE: Json = {"$ref": "#/$defs/Reference"}
_NULL: Json = {"type": "null"}
SECTIONS = {
    "models": "Named back ends that answer.",
    "databases": "Named databases, for components that keep or read rows.",
    "embedders": "Named embedders, which turn texts into vectors.",
    "providers": "Further layers of settings and vars; higher priority wins, maps merge deep.",
    "contributors": "Pieces of the system prompt; higher priority comes first.",
    "tools": "Tools that the model may call.",
    "tool_selection": "How the tools that a turn offers are chosen.",
    "compaction": "Compaction of long histories.",
    "middleware": "Middleware around each call, outermost first; up to `auth` it runs before anything else.",
    "exporters": "Where events go.",
    "sessions": "Where histories are kept.",
}


def schema(registry: Registry | None = None, broken: Callable[[BrokenComponent], object] = bool) -> Json:
    """The schema (draft 2020-12) of a spec that may name any component of the registry.

    Components that cannot be imported are left out; `broken` gets their errors.
    """
    registry = registry or Registry()
    whole = Spec.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions: Json = whole.pop("$defs", {})
    properties: Json = whole["properties"]
    for kind in KINDS.values():
        components = registry.components(kind.name, broken)
        definitions[kind.name] = _item(kind, components, definitions)
        definitions[f"{kind.name}_overlay"] = _overlay_item(kind, components, definitions)
        properties[kind.name] = {"description": SECTIONS[kind.name], **_section(kind)}
    definitions["Overlay"] = _overlay(properties)
    for holder in ("Tenant", "Arm"):
        described = definitions[holder]["properties"]["with"]["description"]
        definitions[holder]["properties"]["with"] = {"description": described, "$ref": "#/$defs/Overlay"}
    for group in ("Settings", "ModelSettings", "Limits", "ToolLimits"):
        for name, described in definitions[group]["properties"].items():
            definitions[group]["properties"][name] = _or_reference(described)
    properties["tests"] = _with_files(properties["tests"])
    definitions["Reference"] = {
        "type": "string",
        "pattern": r"\$\{(env|file):[^}]+\}",
        "description": "A value from outside: `${env:NAME}`, `${env:NAME:-default}` or `${file:path}`.",
    }
    properties["victor"] = {"const": VERSION, "description": properties["victor"]["description"]}
    result: Json = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "victor.schema.json",
        "description": "The whole request path of an LLM feature.",
        "type": "object",
        "required": whole["required"],
        "additionalProperties": False,
        "properties": {name: properties[name] for name in sorted(properties, key=section_rank)},
        "patternProperties": {f"^{OWN}": {"description": "A place for anchors; it has no effect by itself."}},
        "$defs": dict(sorted(definitions.items())),
    }
    tidied = _tidy(result)
    for name in (Test.__name__, *Test.model_json_schema()["$defs"]):
        tidied["$defs"][name] = _with_parameters(tidied["$defs"][name])
    return {"$schema": result.pop("$schema"), "$id": result.pop("$id"), "title": "victor spec", **tidied}


_PARAMETER: Json = {
    "type": "string",
    "pattern": r"^\(\(\s*[A-Za-z_]\w*\s*\)\)$",
    "description": "A parameter of the test, one of `each`.",
}


def _with_files(tests: Json) -> Json:
    """The section `tests`, whose items may also be files."""
    file: Json = {
        "type": "string",
        "minLength": 1,
        "description": "A file with a list of tests, or a glob of such files.",
    }
    return {
        key: [{**arm, "items": {"anyOf": [arm["items"], file]}} if arm.get("type") == "array" else arm for arm in value]
        if key == "anyOf"
        else value
        for key, value in tests.items()
    }


def _with_parameters(value: Any) -> Any:
    """The schema of a part of a test: wherever a variable may stand, a parameter of the test may, too."""
    if isinstance(value, list):
        return [*map(_with_parameters, value), *([_PARAMETER] if _REFERENCE in value else [])]
    return {key: _with_parameters(child) for key, child in value.items()} if isinstance(value, dict) else value


def component_schema(component: Component, definitions: Json) -> Json:
    """One component's schema, its `type` included; models that it uses go into `definitions`."""
    made = component.config.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions.update(made.pop("$defs", {}))
    properties: Json = made.get("properties", {})
    annotations = annotated_fields(component.config)
    for name, described in properties.items():
        annotation = annotations.get(name)
        if isinstance(annotation, Nested):
            properties[name] = _nested(described, annotation)
        elif annotation is None:
            properties[name] = _or_reference(described)
    implied = component.kind.default == component.type and component.kind.shape == "one"
    return {
        "description": component.summary,
        "type": "object",
        "required": [*([] if implied else ["type"]), *made.get("required", ())],
        "additionalProperties": False,
        "properties": {"type": {"const": component.type, "description": component.summary}, **properties},
    }


def _item(kind: Kind, components: list[Component], definitions: Json) -> Json:
    """Any component of a kind, for validators, in a shape that yaml-language-server completes.

    That server offers the fields of the alternative that fits best, and of all that fit equally badly. `type` is
    listed beside the alternatives, or it would offer only components without required fields.
    """
    branches: list[Json] = []
    for component in components:
        name = f"{kind.name}.{component.type}"
        definitions[name] = component_schema(component, definitions)
        branches.append({"$ref": f"#/$defs/{name}"})
    if kind.default:
        # Where no type is written, only the default's fields are offered and spoken of.
        default = {"$ref": f"#/$defs/{kind.name}.{kind.default}"}
        others = [branch for branch in branches if branch != default]
        branches = [default, {"if": {"required": ["type"]}, "then": {"anyOf": others}, "else": False}]
    types = {"enum": [c.type for c in components], "enumDescriptions": [c.summary for c in components]}
    item: Json = {"properties": {"type": types}, "anyOf": branches}
    words = [c.type for c in components if not any(f.is_required() for f in c.config.model_fields.values())]
    if words and kind.shape != "map":
        return {"anyOf": [item, {"enum": words, "description": "A bare word is `{type: word}`."}]}
    return item


def _overlay_item(kind: Kind, components: list[Component], definitions: Json) -> Json:
    """What an overlay may write of an item: any field of any component, nothing required, or null to remove it."""
    properties: Json = {}
    for component in components:
        for name, described in definitions[f"{kind.name}.{component.type}"]["properties"].items():
            properties.setdefault(name, described)
    types: list[Any] = [component.type for component in components]
    properties["type"] = {"enum": types, "description": "Another type drops the old type's own fields."}
    item: Json = {"type": "object", "additionalProperties": False, "properties": properties}
    return {"anyOf": [item, {"enum": types}, _NULL]}


def _section(kind: Kind) -> Json:
    item = {"$ref": f"#/$defs/{kind.name}"}
    if kind.shape == "one":
        return item
    if kind.shape == "map":
        return {"type": "object", "additionalProperties": item}
    # A spec that extends another may change the other's items by name.
    by_name = {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{kind.name}_overlay"}}
    return {"anyOf": [{"type": "array", "items": item}, by_name]}


def _overlay(properties: Json) -> Json:
    sections: Json = {}
    for name in sorted(properties, key=section_rank):
        if name in UNTOUCHABLE:
            continue
        kind = KINDS.get(name)
        if kind is None:
            sections[name] = properties[name]
        elif kind.shape == "one":
            sections[name] = {"$ref": f"#/$defs/{name}_overlay"}
        else:
            by_name = {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{name}_overlay"}}
            whole = {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}
            sections[name] = {"anyOf": [by_name, whole]} if kind.shape == "list" else by_name
    sections["variants"] = {
        "type": "object",
        "additionalProperties": _NULL,
        "description": "For tenants: `{NAME: null}` stays out of an experiment.",
    }
    description = "What is different: items of lists by their name; null removes, a list replaces."
    return {"type": "object", "description": description, "additionalProperties": False, "properties": sections}


def _nested(written: Json, annotation: Nested) -> Json:
    item: Json = {"anyOf": [{"$ref": f"#/$defs/{annotation.kind}"}, _NULL]}
    arms = [written, *written.get("anyOf", ())]
    if any(arm.get("type") == "array" for arm in arms):
        item = {"type": "array", "items": {"$ref": f"#/$defs/{annotation.kind}"}}
    return {"description": written.get("description", ""), **item}


def _or_reference(described: Json) -> Json:
    """A list or a map may come from one variable, as `a, b` or JSON."""
    arms = described.get("anyOf", [described])
    if not any(arm.get("type") in ("array", "object") for arm in arms):
        return described
    kept: Json = {key: described[key] for key in ("description", "default", "examples") if key in described}
    return {**kept, "anyOf": [*({k: v for k, v in arm.items() if k not in kept} for arm in arms), _REFERENCE]}


def _additions(properties: Json) -> Json:
    """`+name` for each property that may be a list: such a list adds to the one below."""
    found: Json = {}
    for name, described in properties.items():
        arms = (arm for arm in (described, *described.get("anyOf", ())) if arm.get("type") == "array")
        if name != "extends" and (items := next((arm.get("items", {}) for arm in arms), None)) is not None:
            found[rf"^\+{name}$"] = {"type": "array", "items": items, "description": f"Adds to `{name}`."}
    return found


def _tidy(value: Any) -> Any:
    """Drops generated titles, and lets `${…}` stand where a number, a truth value or a word of a list is wanted."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("properties"), dict):
        properties = {name: _tidy(described) for name, described in value["properties"].items()}
        tidied = _tidy({k: v for k, v in value.items() if k not in ("properties", "title")})
        patterns = {**tidied.get("patternProperties", {}), **_additions(properties)}
        return {**tidied, "properties": properties, **({"patternProperties": patterns} if patterns else {})}
    tidied = {
        key: child if key in ("const", "default", "examples", "enum", "required") else _tidy(child)
        for key, child in value.items()
        if not (key == "title" and isinstance(child, str))
    }
    words = tidied.get("type") == "string" and "enum" in tidied
    if words or tidied.get("type") in ("integer", "number", "boolean"):
        kept = {key: tidied.pop(key) for key in ("description", "default", "examples") if key in tidied}
        return {**kept, "anyOf": [tidied, _REFERENCE]}
    return tidied
