"""What a call costs, for each shape of price, and odd prices and counts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.prices import CASES, Case, usage_of
from victor_dsl.components.models import echo
from victor_dsl.components.prices import Prices, own_prices, reported_usage


@pytest.mark.parametrize("case", CASES, ids=[case.shape for case in CASES])
def test_a_recorded_answer_costs_what_its_provider_bills(case: Case) -> None:
    cost = usage_of(case).cost_shown
    assert (cost if cost is None else Decimal(repr(cost))) == (None if case.cost is None else Decimal(case.cost))


def test_each_kind_of_token_has_its_rate() -> None:
    rates = Prices(2.0, 10.0, cache_read=0.5, cache_write=2.5)
    assert rates.cost(plain=1_000_000, output=0) == 2.0
    assert rates.cost(plain=0, output=1_000_000) == 10.0
    assert rates.cost(plain=0, output=0, cache_read=1_000_000) == 0.5
    assert rates.cost(plain=0, output=0, cache_write=1_000_000) == 2.5
    assert rates.cost(plain=0, output=0, cache_write_1h=1_000_000) == 2.5
    assert Prices(2.0, 10.0).cost(plain=0, output=0, cache_read=1_000_000, cache_write=1_000_000) == 4.0


def test_a_long_prompt_costs_more_in_all_its_tokens() -> None:
    rates = Prices(2.0, 10.0, 0.2, long_prompts=((100, Prices(4.0, 15.0, 0.4)),))
    assert rates.cost(plain=50, cache_read=50, output=10) == pytest.approx((100 + 10 + 100) / 1e6)
    assert rates.cost(plain=51, cache_read=50, output=10) == pytest.approx((204 + 20 + 150) / 1e6)


def test_prices_change_by_the_hour_and_the_day() -> None:
    night, later = Prices(1.0, 1.0), Prices(3.0, 3.0)
    prices = Prices(2.0, 2.0, hours=((79_200, 3_600, night),), changes=((86_400.0 * 10, later),))
    at = [prices.at(hour * 3600.0).input for hour in (0, 1, 12, 21, 22, 23, 24)]
    assert at == [1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]
    assert prices.at(86_400 * 10 - 7200).input == 1.0
    assert prices.at(86_400 * 10 + 43_200).input == 3.0


counts = st.none() | st.integers(0, 10**9)


@given(counts, counts, counts, counts, st.integers(0, 10**9), counts)
def test_parts_never_exceed_their_whole_and_no_cost_is_negative(
    input: int | None,
    output: int | None,
    cached: int | None,
    written: int | None,
    written_1h: int,
    reasoning: int | None,
) -> None:
    prices = Prices(2.0, 10.0, 0.2, 2.5, 4.0, 1.0)
    usage = reported_usage(
        prices, input=input, output=output, cached=cached, written=written, written_1h=written_1h, reasoning=reasoning
    )
    if input is not None:
        assert (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0) <= input
    if output is not None:
        assert (usage.reasoning_tokens or 0) <= output
    assert (usage.cost_usd is None) == (input is None or output is None)
    assert usage.cost_usd is None or usage.cost_usd >= 0


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "free"])
@pytest.mark.parametrize(
    "field",
    ["input_usd_per_million", "output_usd_per_million", "cached_usd_per_million", "cache_write_usd_per_million"],
)
def test_a_price_is_a_finite_amount(field: str, amount: Any) -> None:
    with pytest.raises(ValidationError):
        echo.Config.model_validate({field: amount})


def test_a_price_of_the_spec_holds_for_every_length_tier_and_hour() -> None:
    other = Prices(4.0, 20.0, 0.4, 5.0, 8.0, 30.0)
    listed = Prices(
        2.0, 10.0, 0.2, 2.5, 4.0, 15.0,
        long_prompts=((100, other),), tiers={"flex": other}, hours=((0, 10, other),), changes=((5.0, other),),
    )  # fmt: skip
    for field, kind, others in (
        ("output_usd_per_million", "output", (4.0, 7.0, 0.4, 5.0, 8.0, None)),
        ("cached_usd_per_million", "cache_read", (4.0, 20.0, 7.0, 5.0, 8.0, 30.0)),
        ("cache_write_usd_per_million", "cache_write", (4.0, 20.0, 0.4, 7.0, None, 30.0)),
        ("input_usd_per_million", "input", (7.0, 20.0, None, None, None, 30.0)),
    ):
        prices = own_prices(echo.Config.model_validate({field: 7.0}), listed)
        assert prices is not None
        assert getattr(prices, kind) == 7.0
        for found in (prices.long_prompts[0][1], prices.tiers["flex"], prices.hours[0][2], prices.changes[0][1]):
            assert found[:6] == others
