"""What every model behind HTTP can be told, and what its name says about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from victor_dsl.components.models._catalogue import Entry, Rates, find
from victor_dsl.language.config import ModelConfig
from victor_dsl.language.served import Served


class HostedConfig(Served, ModelConfig):
    """What every model behind HTTP can be told."""

    OWN_FIELDS: ClassVar[frozenset[str]] = frozenset({"model", "messages", "system", "tools", "stream"})

    model: str = Field(
        min_length=1,
        description="The model's name, as the server knows it. Window and price of well-known models are looked up by it.",
    )
    sampling: bool | None = Field(
        None,
        description="Whether `temperature` and `top_p` are sent. Left out: to every model but those known to refuse them.",
    )
    timeout_seconds: float = Field(
        600.0, gt=0, description="How long a whole answer may take, from the connection to its last piece."
    )
    chunk_timeout_seconds: float = Field(
        180.0, gt=0, description="How long a stream may be silent, before its first piece and between any two."
    )

    def entry(self) -> Entry | None:
        """What the catalogue knows of the model."""
        return find(self.model)

    def window(self) -> int | None:
        """The context window as written, else the catalogue's."""
        if self.context_window is not None:
            return self.context_window
        entry = self.entry()
        return entry.window if entry else None

    def rates(self) -> Rates | None:
        """The rates as written, else the catalogue's; None where input or output has none."""
        entry = self.entry()
        known = entry.rates if entry else None
        of_input, of_output = self.input_usd_per_million, self.output_usd_per_million
        cached = self.cached_usd_per_million
        if known and of_input is None and of_output is None:
            return known if cached is None else known._replace(cached=cached)
        if known:
            of_input = known.input if of_input is None else of_input
            of_output = known.output if of_output is None else of_output
        return None if of_input is None or of_output is None else Rates(of_input, of_output, cached)

    def price(self) -> tuple[float, float] | None:
        """US dollars for a million input and a million output tokens, as written, else the catalogue's."""
        rates = self.rates()
        return (rates.input, rates.output) if rates else None


def merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The request's body with the spec's `extra_body` laid over it, one level deep."""
    return {**body, **extra} if extra else body
