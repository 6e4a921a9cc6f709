"""The texts of a tool that requests are compared with: its name, its description and its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from victor_dsl.components.ranking.words import split_name
from victor_dsl.values.tool import Tool

DEEPEST_PARAMETER = 4
MOST_PARAMETERS = 1_000

LONGEST_TEXT = 8_000
"""Each text is read up to this many characters; what a tool is for stands at the beginning."""


def field_texts(tool: Tool) -> tuple[str, str, str, str]:
    """The tool's name, its description, the names of its parameters, and their descriptions and enum values."""
    names: list[str] = []
    details: list[str] = []
    for _, (name, schema) in zip(range(MOST_PARAMETERS), _properties(tool.parameters, 0), strict=False):
        names.append(name)
        if isinstance(schema, Mapping):
            if isinstance(text := schema.get("description"), str):
                details.append(text)
            if isinstance(values := schema.get("enum"), Sequence) and not isinstance(values, str):
                details += [value for value in values[:MOST_PARAMETERS] if isinstance(value, str)]
    name, description, parameters, meanings = tool.name, tool.description, ", ".join(names), ", ".join(details)
    return name[:LONGEST_TEXT], description[:LONGEST_TEXT], parameters[:LONGEST_TEXT], meanings[:LONGEST_TEXT]


def prose(tool: Tool) -> str:
    """A tool as one text, for an embedder: its name in words, its description, its parameters."""
    name, description, parameters, meanings = field_texts(tool)
    return f"{split_name(name)}. {description} {', '.join(filter(None, (parameters, meanings)))}".strip()


def _properties(schema: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """The properties of a JSON Schema, nested ones too. Schemas come from third parties: any part may have any type."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or depth >= DEEPEST_PARAMETER:
        return
    for name, inner in properties.items():
        yield str(name), inner
        if isinstance(inner, Mapping):
            yield from _properties(inner, depth + 1)
            yield from _properties(inner.get("items"), depth + 1)
