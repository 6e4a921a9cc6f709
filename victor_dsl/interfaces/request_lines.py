"""The request lines of a spec: their JSON Schema, and an example of one."""

from __future__ import annotations

from typing import Any

from victor_dsl.graph.plan import Plan
from victor_dsl.values.codec import line_schema
from victor_dsl.values.inputs import InputItem
from victor_dsl.values.path_globs import Path, PathGlobs
from victor_dsl.values.settings import REQUEST_SETTINGS, Settings
from victor_dsl.values.typed import type_of

Json = dict[str, Any]


def request_schema(plan: Plan) -> Json:
    """The JSON Schema (draft 2020-12) of request lines: the plan's inputs and vars, and the settings that a request may set.

    It is a little narrower than what is read: a text of digits, for one, is also read as a whole number.
    """
    schema = line_schema()
    settings = Settings.model_json_schema(ref_template="#/$defs/{model}")
    schema["$defs"] = {**schema.get("$defs", {}), **settings.get("$defs", {})}
    locked = PathGlobs(plan.locked)
    properties, required = schema["properties"], [name for name, one in plan.inputs.items() if one.required]
    properties["inputs"] = {
        "description": "The inputs of the spec.",
        **_closed({name: declared.json_schema() for name, declared in plan.inputs.items()}),
        **({"required": required} if required else {}),
    }
    properties["vars"] = {
        "description": "Vars for templates.",
        **_closed({name: _like(value, ("vars", name), locked) for name, value in plan.spec.vars.items()}),
    }
    if plan.roles.providers:
        properties["vars"]["additionalProperties"] = True  # they may give further vars
    names = sorted((REQUEST_SETTINGS | plan.request) & settings["properties"].keys())
    allowed = [name for name in names if locked.covering(("settings", name)) is None]
    properties["settings"] = {
        "description": "The settings that a request may set.",
        **_closed({name: settings["properties"][name] for name in allowed}),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"requests of {plan.name}",
        **schema,
        **({"required": ["inputs"]} if required else {}),
        "oneOf": [{"required": ["message"]}, {"required": ["messages"]}],
    }


def example_request(plan: Plan) -> Json:
    """A valid request line, with a value for each input."""
    inputs = {
        name: declared.example(name) if declared.default is None else declared.read(declared.default, ("inputs", name))
        for name, declared in plan.inputs.items()
    }
    return {"message": "Hello!", **({"inputs": inputs} if inputs else {})}


def _closed(properties: Json) -> Json:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _like(value: Any, path: Path, locked: PathGlobs) -> Json | bool:
    """The schema of what a var may be set to; null removes it. False, which nothing fits, is that of a locked one."""
    if locked.covering(path) is not None:
        return False
    type = type_of(value)
    if type is None:
        return {}
    if type == "map":
        properties = {key: _like(inner, (*path, key), locked) for key, inner in value.items()}
        return {"type": ["object", "null"], **({"properties": properties} if properties else {})}
    schema = InputItem.model_construct(type=type).json_schema()
    return {"type": [schema["type"], "null"]}
