"""The definitions of tools that a model is offered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

import orjson
from attrs import field, frozen

from victor_dsl.values.tokens import Size, TokenCounter, text_size, text_tokens

CostTier = Literal["free", "low", "medium", "high"]
COST_TIERS: tuple[CostTier, ...] = ("free", "low", "medium", "high")


@frozen
class Tool:
    """A tool's definition: `parameters` is a JSON Schema object.

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


def tools_size(tools: Iterable[Tool], count: TokenCounter | None = None) -> Size:
    """The size of tool definitions; `count` is the model's tokenizer."""
    return sum((text_size(tool.definition(), count) for tool in tools), Size())
