"""What may stand at a place of a spec: a walk through the JSON Schema that `victor schema` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field, frozen

from victor_dsl.language.annotations import Annotation, Secret, annotated_fields
from victor_dsl.language.registry import Registry
from victor_dsl.language.schema import schema
from victor_dsl.source.located import Path

Json = Mapping[str, Any]


@frozen
class Shape:
    """One thing that a place may hold: its schema, and the component (kind, type) whose map it is."""

    schema: Json
    component: tuple[str, str] | None = None


@define
class Grammar:
    """The language with every component that is installed."""

    registry: Registry = field(factory=Registry)
    _schema: Json = field(init=False, factory=dict)

    def shapes(self, path: Path, types: Mapping[Path, str]) -> list[Shape]:
        """What may stand at a path. `types` are those of the components on the way, by the paths of their maps."""
        if not self._schema:
            self._schema = schema(self.registry)
        found = [Shape(self._schema)]
        for depth, step in enumerate(path):
            inside = [shape for one in found for shape in self._expanded(one, types.get(path[:depth]))]
            found = [shape for one in inside for shape in _below(one, step)]
        return [shape for one in found for shape in self._expanded(one, types.get(path))]

    def keys(self, path: Path, types: Mapping[Path, str]) -> dict[str, Json]:
        """The keys of the map at a path, each with its schema."""
        found: dict[str, Json] = {}
        for shape in self.shapes(path, types):
            for name, described in shape.schema.get("properties", {}).items():
                if name not in found or not found[name].get("description"):
                    found[name] = described
        return found

    def values(self, path: Path, types: Mapping[Path, str]) -> dict[str, str]:
        """The words that may stand at a path, each with what it means."""
        found: dict[str, str] = {}
        for shape in self.shapes(path, types):
            words = shape.schema.get("enum", [shape.schema["const"]] if "const" in shape.schema else [])
            meanings = shape.schema.get("enumDescriptions", [shape.schema.get("description", "")] * len(words))
            for word, meaning in zip(words, meanings, strict=False):
                found.setdefault(_word(word), meaning)
            if shape.schema.get("type") == "boolean":
                meaning = str(shape.schema.get("description", ""))
                found |= {"true": meaning, "false": meaning}
        return found

    def annotation(self, path: Path, types: Mapping[Path, str]) -> Annotation | type[Secret] | None:
        """What the field at a path means beyond its type: a name of another section, a file. An item of a list is its list's."""
        field = path[:-1] if path and isinstance(path[-1], int) else path
        for shape in self.shapes(field[:-1], types) if field else ():
            if shape.component is not None and isinstance(field[-1], str):
                component = self.registry.find(*shape.component)
                found = annotated_fields(component.config).get(field[-1]) if component is not None else None
                if found is not None:
                    return found
        return None

    def _expanded(self, shape: Shape, type: str | None) -> Iterator[Shape]:
        """The alternatives of a shape. Of components those of the `type`; where none is written, that which is meant then."""
        here = shape.schema
        if "$ref" in here:
            name = here["$ref"].removeprefix("#/$defs/")
            kind, _, word = name.partition(".")
            component = (kind, word) if word else shape.component
            yield from self._expanded(Shape(self._schema["$defs"][name], component), type)
            return
        if "then" in here:
            yield from self._expanded(Shape(here["then"], shape.component), type)
            return
        const = here.get("properties", {}).get("type", {}).get("const")
        if const is not None and type is not None and const != type:
            return
        if {"properties", "items", "enum", "const", "type", "additionalProperties"} & here.keys():
            yield shape
        chooses = "type" in here.get("properties", {}) and "anyOf" in here
        branches = here.get("anyOf", [])
        if chooses and type is None:
            branches = [branch for branch in branches[:1] if any("then" in other for other in here["anyOf"])]
        for branch in branches:
            yield from self._expanded(Shape(branch, shape.component), type)


def _below(shape: Shape, step: str | int) -> Iterator[Shape]:
    """What may stand under a key or index."""
    here = shape.schema
    if isinstance(step, int):
        if isinstance(here.get("items"), dict):
            yield Shape(here["items"])
        return
    properties = here.get("properties", {})
    if step in properties or step.removeprefix("+") in properties:
        yield Shape(properties.get(step) or properties[step.removeprefix("+")])
    elif isinstance(here.get("additionalProperties"), dict):
        yield Shape(here["additionalProperties"])


def _word(value: Any) -> str:
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else str(value)
    )
