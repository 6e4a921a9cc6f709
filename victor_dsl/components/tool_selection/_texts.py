"""What a tool says of itself: its name, its description and its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from victor_dsl.components.tool_selection._words import split_name
from victor_dsl.values.tool import Tool

DEEPEST_PARAMETER = 4
MOST_PARAMETERS = 1_000

LONGEST_TEXT = 8_000
"""So many characters of a description are read; what a tool is for stands at its beginning."""


def description(tool: Tool) -> str:
    """As much of the description as is read."""
    return tool.description[:LONGEST_TEXT]


def parameter_texts(tool: Tool) -> tuple[list[str], list[str]]:
    """The names of a tool's parameters, and what is said of them: descriptions and the values to choose from."""
    names: list[str] = []
    said: list[str] = []
    for _, (name, schema) in zip(range(MOST_PARAMETERS), _properties(tool.parameters, 0), strict=False):
        names.append(name)
        if isinstance(schema, Mapping):
            if isinstance(text := schema.get("description"), str):
                said.append(text[:LONGEST_TEXT])
            if isinstance(values := schema.get("enum"), Sequence) and not isinstance(values, str):
                said += [value for value in values[:MOST_PARAMETERS] if isinstance(value, str)]
    return names, said


def spelled_out(tool: Tool) -> str:
    """A tool as a text to read: its name in words, its description, its parameters."""
    names, said = parameter_texts(tool)
    return f"{split_name(tool.name)}. {description(tool)} {', '.join([*names, *said])}".strip()


def _properties(schema: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """The properties of a JSON Schema, nested ones too. The schema is anybody's, so nothing is taken for granted."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or depth >= DEEPEST_PARAMETER:
        return
    for name, inner in properties.items():
        yield str(name), inner
        if isinstance(inner, Mapping):
            yield from _properties(inner, depth + 1)
            yield from _properties(inner.get("items"), depth + 1)
