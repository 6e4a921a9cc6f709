"""The provider whose layer stands in the spec itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ProviderConfig
from victor_dsl.language.spec import Values
from victor_dsl.values.settings import Layer, Origin
from victor_dsl.values.turn import Turn


class Config(ProviderConfig):
    """Gives settings and vars that are written in the spec itself.

    It is useful below or above other providers: as a default that a file may change, or as the last word over one.
    """

    values: Values = Field(
        description="The layer. A value of null removes what lower layers say.",
        examples=[{"settings": {"temperature": 0.3}, "vars": {"product": "Acme Cloud"}}],
    )


EXAMPLE = """
type: inline
priority: 10
values:
  settings: {temperature: 0.3, limits: {requests_per_minute: 60}}
  vars: {product: Acme Cloud}
"""


class Inline:
    """One layer that never changes."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    async def read(self, turn: Turn) -> Layer:
        return self._layer


def build(config: Config, context: Context) -> Inline:
    """The provider of the layer that is written; every value's origin is the line of the item."""
    values = config.values.model_dump(exclude_unset=True)
    file, _, line = context.place.rpartition(":")
    origin = Origin(context.node, file or None, int(line) if file else None)
    origins = dict.fromkeys(_leaves(values), origin)
    return Inline(Layer(context.node, values.get("settings", {}), values.get("vars", {}), origins))


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
