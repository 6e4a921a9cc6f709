"""The provider whose layer is written in the spec itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen
from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import ProviderConfig
from victor_dsl.language.spec import Values
from victor_dsl.values.additions import take_additions
from victor_dsl.values.settings import Layer, Origin
from victor_dsl.values.turn import Turn


class Config(ProviderConfig):
    """Gives settings and vars that are written in the spec itself.

    By its priority it stands below other providers, as a default that they may change, or above them, as the last word.
    """

    values: Values = Field(
        description="The layer. A value of null removes the value of lower layers.",
        examples=[{"settings": {"temperature": 0.3}, "vars": {"product": "Acme Cloud"}}],
    )


EXAMPLE = """
type: inline
priority: 10
values:
  settings: {temperature: 0.3, limits: {requests_per_minute: 60}}
  vars: {product: Acme Cloud}
"""


def build(config: Config, context: Context) -> Inline:
    """The provider; the origin of every value is the line of the item."""
    values, added = take_additions(config.values.model_dump(mode="json", exclude_unset=True))
    file, _, line = context.place.rpartition(":")
    origin = Origin(context.node, file or None, int(line) if file else None)
    origins = dict.fromkeys(_leaves(values), origin)
    return Inline(Layer(context.node, values.get("settings") or {}, values.get("vars") or {}, origins, added=added))


@frozen
class Inline:
    """One layer that never changes."""

    layer: Layer

    async def read(self, turn: Turn) -> Layer:
        return self.layer


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted path of every value that is not a map with something in it."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
