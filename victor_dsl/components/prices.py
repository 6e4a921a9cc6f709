"""What a model call costs: prices by kind of token, and the usage that a server reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from victor_dsl.language.config import ModelConfig
from victor_dsl.values.message import Usage

_NO_TIERS: Mapping[str, Prices] = {}


class Prices(NamedTuple):
    """US dollars for a million tokens of each kind, and for each `request`. Prices that vary have further Prices.

    A price of None is that of what the tokens are part of: `cache_write_1h` of `cache_write`, both cache prices of `input`,
    `reasoning` of `output`. `long_prompts` are for prompts of more than a number of tokens, ascending: all tokens of such a call
    have that price. `tiers` are for calls in another service tier than the standard one. `hours` are for times of the UTC
    day, from a second to another, which may be the next day's. `changes` apply from a Unix time on, ascending.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None
    request: float = 0.0
    long_prompts: tuple[tuple[int, Prices], ...] = ()
    tiers: Mapping[str, Prices] = _NO_TIERS
    hours: tuple[tuple[int, int, Prices], ...] = ()
    changes: tuple[tuple[float, Prices], ...] = ()

    def at(self, time: float) -> Prices:
        """The prices in force at a Unix time."""
        prices = self
        for start, changed in self.changes:
            if time >= start:
                prices = changed
        second = time % 86_400
        for start, end, other in prices.hours:
            if start <= second < end or (end < start and not end <= second < start):
                prices = other
        return prices

    def replaced(self, own: Callable[[Prices], Prices]) -> Prices:
        """The prices with `own` applied to them, and to those of long prompts, tiers, hours and changes."""
        return own(self)._replace(
            long_prompts=tuple((above, prices.replaced(own)) for above, prices in self.long_prompts),
            tiers={tier: prices.replaced(own) for tier, prices in self.tiers.items()},
            hours=tuple((start, end, prices.replaced(own)) for start, end, prices in self.hours),
            changes=tuple((start, prices.replaced(own)) for start, prices in self.changes),
        )

    def cost(
        self,
        *,
        plain: int,
        output: int,
        cache_read: int = 0,
        cache_write: int = 0,
        cache_write_1h: int = 0,
        reasoning: int = 0,
        tier: str | None = None,
    ) -> float:
        """The price of one call. The kinds of input do not overlap; `output` includes `reasoning`."""
        prices = self
        if tier is not None and self.tiers:
            prices = self.tiers.get(tier, self)
        if prices.long_prompts:
            prompt = plain + cache_read + cache_write + cache_write_1h
            for above, other in prices.long_prompts:
                if prompt > above:
                    prices = other
        total = plain * prices.input + output * prices.output
        if cache_read:
            total += cache_read * (prices.input if prices.cache_read is None else prices.cache_read)
        if cache_write or cache_write_1h:
            write = prices.input if prices.cache_write is None else prices.cache_write
            total += cache_write * write
            total += cache_write_1h * (write if prices.cache_write_1h is None else prices.cache_write_1h)
        if reasoning and prices.reasoning is not None:
            total += reasoning * (prices.reasoning - prices.output)
        return total / 1_000_000 + prices.request


def own_prices(config: ModelConfig, listed: Prices | None = None) -> Prices | None:
    """The prices that a spec writes, and for the rest those that are `listed` for its model; None without input or output.

    A price of the spec holds for each length of prompt, tier and hour. With one for input, the cache costs what other input
    costs unless the spec says otherwise.
    """
    of_input, of_output = config.input_usd_per_million, config.output_usd_per_million
    read, write = config.cached_usd_per_million, config.cache_write_usd_per_million
    if of_input is not None and of_output is not None:
        return Prices(of_input, of_output, read, write)
    if listed is None:
        return None

    def own(prices: Prices) -> Prices:
        if of_input is not None:
            prices = prices._replace(input=of_input, cache_read=None, cache_write=None, cache_write_1h=None)
        if of_output is not None:
            prices = prices._replace(output=of_output, reasoning=None)
        if read is not None:
            prices = prices._replace(cache_read=read)
        if write is not None:
            prices = prices._replace(cache_write=write, cache_write_1h=None)
        return prices

    return listed.replaced(own)


def reported_usage(
    prices: Prices | None,
    *,
    input: int | None,
    output: int | None,
    cached: int | None = None,
    written: int | None = None,
    written_1h: int = 0,
    reasoning: int | None = None,
    tier: str | None = None,
) -> Usage:
    """The usage of a call from the counts that its server reports, and the cost where prices and counts are known.

    `input` is all input: `cached` and `written` are parts of it, and `written_1h` is the part of `written` that the cache
    keeps for an hour. `reasoning` is a part of `output`. A part that exceeds the whole counts as the whole.
    """
    if input is not None:
        cached = None if cached is None else min(cached, input)
        written = None if written is None else min(written, input - (cached or 0))
    if output is not None and reasoning is not None:
        reasoning = min(reasoning, output)
    cost = None
    if prices is not None and input is not None and output is not None:
        read, write = cached or 0, written or 0
        write_1h = min(written_1h, write)
        cost = prices.cost(
            plain=input - read - write,
            output=output,
            cache_read=read,
            cache_write=write - write_1h,
            cache_write_1h=write_1h,
            reasoning=reasoning or 0,
            tier=tier,
        )
    return Usage(input, output, cost, cached, written, reasoning)
