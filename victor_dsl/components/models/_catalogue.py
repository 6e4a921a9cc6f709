"""What is publicly known of hosted models: how much a request may hold, and what a million tokens cost.

As of 22 November 2026, from the providers' own model and price pages (platform.claude.com/docs/en/models,
developers.openai.com/api/docs/models), checked against LiteLLM 1.106.2's model_prices_and_context_window.json.
Prices are the list prices of the standard tier in US dollars. A name that is not here has no window and no price:
nothing is guessed. What a spec writes on its model (`context_window`, `input_usd_per_million` …) always wins.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DATE = r"(-\d{8}|-\d{4}-\d{2}-\d{2}|@\d{8}|-latest)$"


class Rates(NamedTuple):
    """US dollars for a million tokens: of plain input, of output, read from a prompt cache, and written to one.

    Where a prompt is longer than `long_above` tokens, all of its input costs `long_input` times as much and all of
    its output `long_output` times. A rate of the cache that is not known is that of plain input.
    """

    input: float
    output: float
    cached: float | None = None
    written: float | None = None
    long_above: int | None = None
    long_input: float = 1.0
    long_output: float = 1.0

    def cost(self, *, plain: int, output: int, cached: int = 0, written: int = 0) -> float:
        """The price of one call; the three kinds of input do not overlap."""
        cached_rate = self.input if self.cached is None else self.cached
        written_rate = self.input if self.written is None else self.written
        of_input = plain * self.input + cached * cached_rate + written * written_rate
        of_output = output * self.output
        if self.long_above is not None and plain + cached + written > self.long_above:
            of_input, of_output = of_input * self.long_input, of_output * self.long_output
        return (of_input + of_output) / 1_000_000


class Entry(NamedTuple):
    """One model. `window` is the context window or, where the provider limits input below it, that limit.

    A `reasoning` model takes no `temperature` and `top_p`, and thinks by its own measure.
    """

    window: int
    rates: Rates
    reasoning: bool = False


def find(model: str) -> Entry | None:
    """The entry of a model, whatever path stands before its name and whatever date after it."""
    name = model.rsplit("/", 1)[-1].lower()
    return CATALOGUE.get(name) or CATALOGUE.get(re.sub(_DATE, "", name))


def _claude(window: int, input: float, output: float, cached: float, *, reasoning: bool = False) -> Entry:
    return Entry(window, Rates(input, output, cached, written=input * 1.25), reasoning)


def _gpt(window: int, input: float, output: float, cached: float | None = None, *, reasoning: bool = False) -> Entry:
    return Entry(window, Rates(input, output, cached), reasoning)


def _gpt_long(input: float, output: float, cached: float, written: float | None = None) -> Entry:
    rates = Rates(input, output, cached, written, long_above=272_000, long_input=2.0, long_output=1.5)
    return Entry(922_000, rates, reasoning=True)


CATALOGUE: dict[str, Entry] = {
    "claude-opus-4": _claude(200_000, 15.0, 75.0, 1.5),
    "claude-opus-4-1": _claude(200_000, 15.0, 75.0, 1.5),
    "claude-sonnet-4": _claude(200_000, 3.0, 15.0, 0.3),
    "claude-haiku-4-5": _claude(200_000, 1.0, 5.0, 0.1),
    "claude-sonnet-4-5": _claude(200_000, 3.0, 15.0, 0.3),
    "claude-opus-4-5": _claude(200_000, 5.0, 25.0, 0.5),
    "claude-sonnet-4-6": _claude(1_000_000, 3.0, 15.0, 0.3),
    "claude-opus-4-6": _claude(1_000_000, 5.0, 25.0, 0.5),
    "claude-opus-4-7": _claude(1_000_000, 5.0, 25.0, 0.5, reasoning=True),
    "claude-opus-4-8": _claude(1_000_000, 5.0, 25.0, 0.5, reasoning=True),
    "claude-opus-5": _claude(1_000_000, 5.0, 25.0, 0.5, reasoning=True),
    "claude-opus-5-5": _claude(1_000_000, 4.0, 20.0, 0.2, reasoning=True),
    "claude-sonnet-5": _claude(1_000_000, 2.0, 10.0, 0.2, reasoning=True),
    "claude-sonnet-5-5": _claude(1_000_000, 2.0, 10.0, 0.1, reasoning=True),
    "claude-haiku-5-5": Entry(
        1_000_000,
        Rates(0.1, 0.5, 0.01, 0.125, long_above=100_000, long_input=5.0, long_output=5.0),
        reasoning=True,
    ),
    "claude-fable-5": _claude(1_000_000, 10.0, 50.0, 1.0, reasoning=True),
    "claude-fable-5-1": _claude(1_000_000, 10.0, 50.0, 0.25, reasoning=True),
    "gpt-3.5-turbo": _gpt(16_385, 0.5, 1.5),
    "gpt-4": _gpt(8_192, 30.0, 60.0),
    "gpt-4-turbo": _gpt(128_000, 10.0, 30.0),
    "gpt-4o": _gpt(128_000, 2.5, 10.0, 1.25),
    "gpt-4o-2024-05-13": _gpt(128_000, 5.0, 15.0),
    "gpt-4o-mini": _gpt(128_000, 0.15, 0.6, 0.075),
    "gpt-4.1": _gpt(1_047_576, 2.0, 8.0, 0.5),
    "gpt-4.1-mini": _gpt(1_047_576, 0.4, 1.6, 0.1),
    "gpt-4.1-nano": _gpt(1_047_576, 0.1, 0.4, 0.025),
    "o1": _gpt(200_000, 15.0, 60.0, 7.5, reasoning=True),
    "o3": _gpt(200_000, 2.0, 8.0, 0.5, reasoning=True),
    "o3-mini": _gpt(200_000, 1.1, 4.4, 0.55, reasoning=True),
    "o4-mini": _gpt(200_000, 1.1, 4.4, 0.275, reasoning=True),
    "gpt-5": _gpt(272_000, 1.25, 10.0, 0.125, reasoning=True),
    "gpt-5-mini": _gpt(272_000, 0.25, 2.0, 0.025, reasoning=True),
    "gpt-5-nano": _gpt(272_000, 0.05, 0.4, 0.005, reasoning=True),
    "gpt-5.1": _gpt(272_000, 1.25, 10.0, 0.125, reasoning=True),
    "gpt-5.2": _gpt(272_000, 1.75, 14.0, 0.175, reasoning=True),
    "gpt-5.4": _gpt_long(2.5, 15.0, 0.25),
    "gpt-5.4-mini": _gpt(272_000, 0.75, 4.5, 0.075, reasoning=True),
    "gpt-5.4-nano": _gpt(272_000, 0.2, 1.25, 0.02, reasoning=True),
    "gpt-5.5": _gpt_long(5.0, 30.0, 0.5),
    "gpt-5.6": _gpt_long(4.0, 20.0, 0.4, 5.0),
    "gpt-5.6-sol": _gpt_long(4.0, 20.0, 0.4, 5.0),
    "gpt-5.6-terra": _gpt_long(2.0, 12.0, 0.2, 2.5),
    "gpt-5.6-luna": _gpt_long(0.2, 1.2, 0.02, 0.25),
    "gpt-6-astra": _gpt_long(10.0, 50.0, 1.0, 12.5),
    "gpt-6-sol": _gpt_long(2.0, 10.0, 0.2, 2.5),
    "gpt-6-luna": _gpt_long(0.1, 0.5, 0.01, 0.125),
    "gpt-6.1-sol": _gpt_long(2.0, 10.0, 0.1, 2.5),
}
