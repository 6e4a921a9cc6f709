"""The price list is what the package genai-prices says, and costs what it says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson
import pytest

from docs import model_prices
from victor_dsl.components.known_models import prices_of

genai_prices = pytest.importorskip("genai_prices")


def test_the_price_list_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert model_prices.main(["--check"]) == 0, capsys.readouterr().err


def test_a_price_list_that_drifted_is_reported_and_written(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "model_prices.json"
    old.write_text(
        model_prices.DATA.read_text(encoding="utf-8").replace('"input":2.0', '"input":3.0', 1), encoding="utf-8"
    )
    monkeypatch.setattr(model_prices, "DATA", old)
    assert model_prices.main(["--check"]) == 1
    assert model_prices.main([]) == 0
    contents = orjson.loads(old.read_bytes())
    assert contents["providers"] == model_prices.data(dt.date.fromisoformat(contents["as_of"]))["providers"]
    assert model_prices.main(["--wrong"]) == 2


USAGE = {"input_tokens": 300_000, "cache_read_tokens": 100_000, "cache_write_tokens": 50_000, "output_tokens": 1000}


@pytest.mark.parametrize("provider_id", model_prices.PROVIDERS)
def test_every_model_costs_what_the_package_says(provider_id: str) -> None:
    from genai_prices.data import providers

    provider = next(one for one in providers if one.id == provider_id)
    contents = orjson.loads(model_prices.DATA.read_bytes())
    noon = dt.datetime.fromisoformat(f"{contents['as_of']}T12:00+00:00")
    by_id = {model.id: model for model in provider.models}
    for id, _, _, row in contents["providers"][provider_id]["models"]:
        said = by_id[id].calc_price(genai_prices.Usage(**USAGE), provider, genai_request_timestamp=noon).total_price
        prices = prices_of(row).at(noon.timestamp())
        cost = prices.cost(plain=150_000, output=1000, cache_read=100_000, cache_write=50_000)
        assert float(said) == pytest.approx(cost, abs=1e-9), id
