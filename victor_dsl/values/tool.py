"""The definitions of tools that a model is offered."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal

import orjson
from attrs import field, frozen

from victor_dsl.values.tokens import Size, TokenCounter, text_size, text_tokens

CostTier = Literal["free", "low", "medium", "high"]
COST_TIERS: tuple[CostTier, ...] = ("free", "low", "medium", "high")

_API_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_TOOL_NAMES = re.compile(r"[^a-zA-Z0-9_-]")

COMBINING = ("anyOf", "oneOf", "allOf", "not", "if", "then", "else", "enum", "const")
"""Keywords that model APIs refuse at the top of a tool's parameters."""

MOST_NESTED = 5
"""How deeply schemas may be combined; what is deeper is left out."""

_RESOLVED = ("$ref", *COMBINING)


@frozen
class Tool:
    """A tool's definition: `parameters` is a JSON Schema object.

        city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        tool = victor_dsl.Tool("weather", "The weather in a city.", city)
        reply = await app.chat(victor_dsl.Request(message="How is it in Rome?", tools=[tool]))
        calls = reply.message.tool_calls

    `cost` is a tier and `cost_usd` the price of one call, where known; `domain` is a free word that selection may use.
    `source` is the id of the node that answers calls, or None for a tool of the request, whose calls the caller answers.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(factory=lambda: {"type": "object", "properties": {}}, hash=False)
    cost: CostTier | None = None
    cost_usd: float | None = None
    domain: str | None = None
    source: str | None = None

    @cached_property
    def tokens(self) -> int:
        """The tokens of its definition by the stated rule. Counted once per tool."""
        return text_tokens(self.definition())

    def definition(self) -> str:
        """The text whose tokens are counted: name, description and the parameters as compact JSON."""
        return f"{self.name}{self.description}{orjson.dumps(self.parameters).decode()}"


def price_order(tool: Tool) -> tuple[int, float]:
    """A key that sorts tools by tier, then by price; those without one come last."""
    tier = len(COST_TIERS) if tool.cost is None else COST_TIERS.index(tool.cost)
    return tier, math.inf if tool.cost_usd is None else tool.cost_usd


def tools_tokens(tools: Iterable[Tool]) -> int:
    """The tokens of all tools by the stated rule."""
    return sum(map(_tokens, tools))


_tokens = attrgetter("tokens")  # several times per turn: quicker than a comprehension


def tools_size(tools: Iterable[Tool], count: TokenCounter | None = None) -> Size:
    """The size of tool definitions; `count` is the model's tokenizer."""
    return sum((text_size(tool.definition(), count) for tool in tools), Size())


def api_tool_name(name: str) -> str:
    """The tool's name as model APIs accept it: 1 to 64 letters, digits, `_` and `-`.

    Any other name is replaced by one that is derived from it, and the same every time.
    """
    if _API_TOOL_NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_NOT_IN_TOOL_NAMES.sub('_', name)[:55]}_{digest}"


def flat_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's parameters without keywords that combine schemas at their top, which model APIs refuse.

    The properties of all combined schemas become its own. Those that every one of them requires are required; where they
    require different ones, the description says which belong together.

    >>> flat_schema({"anyOf": [{"properties": {"id": {}}, "required": ["id"]}, {"properties": {"name": {}}, "required": ["name"]}]})
    {'properties': {'id': {}, 'name': {}}, 'description': 'Give the arguments of one of these cases: id | name.'}
    """
    return _flat(schema, schema, MOST_NESTED)


def _flat(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    if not any(keyword in schema for keyword in _RESOLVED):
        return schema
    flat = {key: value for key, value in schema.items() if key not in _RESOLVED}
    properties: dict[str, Any] = {}
    required = _names(schema.get("required"))
    notes = _texts(schema.get("description"))
    for keyword in ("$ref", "allOf", "anyOf", "oneOf"):
        cases = [_flat(case, root, depth - 1) for case in _cases(schema.get(keyword), root)] if depth else []
        needed = [_names(case.get("required")) for case in cases]
        for case in cases:
            properties |= _map(case.get("properties"))
        if keyword in ("$ref", "allOf"):
            required += [name for names in needed for name in names]
            notes += [note for case in cases for note in _texts(case.get("description")) if "description" not in schema]
        elif cases:
            required += [name for name in needed[0] if all(name in names for names in needed)]
            shown = [", ".join(name for name in names if name not in required) or "none" for names in needed]
            if len(set(shown)) > 1:
                notes.append(f"Give the arguments of one of these cases: {' | '.join(shown)}.")
    flat["properties"] = {**properties, **_map(schema.get("properties"))}
    if required:
        flat["required"] = list(dict.fromkeys(required))
    if notes:
        flat["description"] = " ".join(notes)
    return flat


def _cases(value: Any, root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The schemas that a keyword combines, each of them the definition where it refers to one."""
    if isinstance(value, str):
        section, _, name = value.removeprefix("#/").partition("/")
        value = [_map(root.get(section)).get(name)] if section in ("$defs", "definitions") else []
    return [case for case in value if isinstance(case, Mapping)] if isinstance(value, list | tuple) else []


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) and value else []


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []
