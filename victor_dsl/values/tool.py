"""Tools as a model is offered them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

CostTier = Literal["free", "low", "medium", "high"]
COST_TIERS: tuple[CostTier, ...] = ("free", "low", "medium", "high")


@frozen
class Tool:
    """A tool's definition: `parameters` is a JSON Schema object.

    `cost` is a tier and `cost_usd` the price of one call, where known; `domain` is a free word that selection
    may use; `source` is the id of the node that answers a call, or None for a tool that came with the request
    (the caller answers it).
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(factory=lambda: {"type": "object", "properties": {}}, hash=False)
    cost: CostTier | None = None
    cost_usd: float | None = None
    domain: str | None = None
    source: str | None = None
