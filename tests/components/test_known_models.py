"""Known models: found by name and address, with facts that are plausible and dated."""

from __future__ import annotations

from datetime import date

import orjson
import pytest

from victor_dsl.components.hosted_models import HostedConfig
from victor_dsl.components.known_models import FACTS, PRICES, find_known_model, nearest_known_model

ROWS = orjson.loads(FACTS.read_bytes())["models"]
PROVIDERS = orjson.loads(PRICES.read_bytes())["providers"]


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("claude-sonnet-4-5", 200_000),
        ("claude-sonnet-4-5-20250929", 200_000),
        ("claude-haiku-4-5@20251001", 200_000),
        ("anthropic/claude-opus-5-5", 1_000_000),
        ("gpt-4.1-mini", 1_047_576),
        ("gpt-4.1-2025-04-14", 1_047_576),
        ("openrouter/openai/GPT-4o", 128_000),
        ("gpt-5", 272_000),
        ("o3", 200_000),
        ("gpt-6.1-sol", 922_000),
        ("gemini-3.8-flash", 1_000_000),
        ("grok-4.3", 1_000_000),
    ],
)
def test_a_well_known_model_has_its_window_and_prices(name: str, window: int) -> None:
    found = find_known_model(name)
    assert found is not None
    assert (found.context_window, found.prices is None) == (window, False)


@pytest.mark.parametrize(
    "name",
    [
        "qwen3",
        "gpt-4.1-micro",
        "claude",
        "ft:gpt-4o-mini:acme::1",
        "",
        "2025-01-01",
        "gpt-oss-120b",
        "deepseek-r1:8b",
        "mistral",
        "o3-fake",
        "grok",
        "geminix",
    ],
)
def test_a_name_that_is_not_known_has_no_window_and_no_price(name: str) -> None:
    assert find_known_model(name, "http://127.0.0.1:11434/v1") is None
    config = HostedConfig.model_validate({"model": name or "x", "base_url": "http://h"})
    assert (config.window(), config.price(), config.prices()) == (None, None, None)


@pytest.mark.parametrize(
    ("base_url", "name", "price"),
    [
        ("https://api.openai.com/v1", "gpt-6.1-sol", (2.0, 10.0)),
        ("https://api.anthropic.com", "claude-opus-5-5", (4.0, 20.0)),
        ("https://acme.openai.azure.com/openai/v1", "gpt-6.1-sol", (2.0, 10.0)),
        ("https://acme.services.ai.azure.com/anthropic", "claude-opus-5-5", (4.0, 20.0)),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "eu.anthropic.claude-opus-5-5", (4.4, 22.0)),
        ("https://europe-west1-aiplatform.googleapis.com/v1", "claude-opus-5-5", (4.0, 20.0)),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-3.8-flash", (0.75, 3.75)),
        ("https://openrouter.ai/api/v1", "openai/gpt-6-sol", (2.0, 10.0)),
        ("https://openrouter.ai/api/v1", "google/gemini-3.8-flash:free", (0.0, 0.0)),
        ("https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", (0.59, 0.79)),
        ("https://api.deepseek.com/v1", "deepseek-v4-pro", (0.66, 1.98)),
        ("https://api.x.ai/v1", "grok-4.3", (1.25, 2.5)),
        ("https://api.moonshot.ai/v1", "kimi-k3", (3.0, 15.0)),
        ("http://127.0.0.1:4000", "openai/gpt-6.1-sol", (2.0, 10.0)),
        ("http://127.0.0.1:11434/v1", "deepseek-v4-pro", None),
        ("https://evil.example/?https://api.deepseek.com", "deepseek-v4-pro", None),
    ],
)
def test_the_price_is_that_of_the_provider_at_the_address(
    base_url: str, name: str, price: tuple[float, float] | None
) -> None:
    found = find_known_model(name, base_url)
    assert (None if found is None or found.prices is None else found.prices[:2]) == price


def test_every_price_is_plausible() -> None:
    for provider in PROVIDERS.values():
        for id, names, window, prices in provider["models"]:
            assert isinstance(id, str), id
            assert "" not in names, id
            assert window is None or 100 <= window <= 20_000_000, id
            assert 0 <= prices["input"] < 1_000, id
            assert 0 <= prices["output"] < 1_000, id


def test_the_price_list_stays_small() -> None:
    assert PRICES.stat().st_size < 200_000


def test_every_fact_has_its_source_and_the_day_of_its_check() -> None:
    for name, row in ROWS.items():
        assert row["source"].startswith("https://"), name
        assert date.fromisoformat(row["checked"]) >= date(2026, 11, 1), name
        assert row["provider"] in PROVIDERS, name
        assert len(row) > len(("provider", "source", "checked")), name


def test_a_successor_is_known_and_outlives_its_predecessor() -> None:
    for name, row in ROWS.items():
        if "retires" not in row:
            assert "successor" not in row, name
            continue
        successor = find_known_model(
            row["successor"], "https://api.deepseek.com" if row["provider"] == "deepseek" else ""
        )
        assert successor is not None, name
        assert successor.retires is None, name


def test_the_providers_own_clients_retire_the_same_models_on_the_same_days() -> None:
    deprecated = pytest.importorskip("anthropic._data").DEPRECATED_MODELS
    for name, said in deprecated.items():
        found = find_known_model(name)
        assert found is not None, name
        assert found.retires is not None, name
        assert f"{found.retires:%B} {found.retires.day}" == said[: said.index(",")][:-2], name


@pytest.mark.parametrize(
    ("name", "address", "meant"),
    [
        ("gpt-6-lunna", "https://api.openai.com/v1", "gpt-6-luna"),
        ("claude-sonet-5-5", "https://api.anthropic.com", "claude-sonnet-5-5"),
        ("gpt-6-luna", "https://api.openai.com/v1", None),
        ("ft:gpt-6-lunna:me", "https://api.openai.com/v1", None),
        ("own-model", "https://api.openai.com/v1", None),
        ("gpt-6-lunna", "http://127.0.0.1:8000/v1", None),
    ],
)
def test_the_nearest_name_is_that_of_the_provider_at_its_own_address(
    name: str, address: str, meant: str | None
) -> None:
    assert nearest_known_model(name, address) == meant
