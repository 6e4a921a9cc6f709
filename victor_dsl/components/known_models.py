"""What is public about hosted models: prices and windows (`model_prices.json`), and other facts (`model_facts.json`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from victor_dsl.components.prices import Prices
from victor_dsl.nearest import nearest

PRICES = Path(__file__).with_name("model_prices.json")
FACTS = Path(__file__).with_name("model_facts.json")

BY_NAME = ("anthropic", "openai", "google", "x-ai")
"""The providers whose models are found by name, at any address."""

_FAMILY = re.compile(r"(claude|chatgpt|gpt-(?!oss)|o\d|gemini|grok)(?![a-z])")
"""How their names begin. Models that anyone may serve, such as `gpt-oss`, have no price of their own."""

_VERSION_SUFFIX = re.compile(r"(-\d{8}|-\d{4}-\d{2}-\d{2}|@\d{8}|-latest)$")


class KnownModel(NamedTuple):
    """A public model; None is unknown. Flags describe the provider's own API.

    `context_window` is the limit on input where the provider sets one below the window. A `reasoning` model refuses
    `temperature` and `top_p`, one with `one_sampling` both of them together. `deferred_tools` is whether the API itself can load
    tools when they are needed. `retires` is the day from which the provider refuses the model, and `successor` what it
    recommends instead. `at_home` is whether the address is the provider's own.
    """

    name: str
    context_window: int | None = None
    prices: Prices | None = None
    output_limit: int | None = None
    reasoning: bool = False
    one_sampling: bool = False
    images: bool = True
    deferred_tools: bool = False
    retires: date | None = None
    successor: str | None = None
    at_home: bool = False


def find_known_model(name: str, base_url: str = "") -> KnownModel | None:
    """The model that a provider has under this name, if the address is one's; else by the name alone.

    By name, a path before it (`openai/…`) and a date after it are ignored.
    """
    provider = next((id for id, it in _providers().items() if re.match(it["host"], base_url)), None)
    short = name.rpartition("/")[2].lower()
    row = None
    if provider is not None:
        row = _row(name.lower(), (provider, *_providers()[provider]["also"]))
    if row is None and _FAMILY.match(short):
        row = _row(short, BY_NAME) or _row(_VERSION_SUFFIX.sub("", short), BY_NAME)
    listed = short if row is None else row[0].rpartition("/")[2]
    facts = next(
        (facts for one in (short, _VERSION_SUFFIX.sub("", short), listed) if (facts := _facts().get(one))), None
    )
    if row is None and facts is None:
        return None
    window, prices = (None, None) if row is None else (row[2], prices_of(row[3]))
    if name.endswith(":free"):  # OpenRouter's models without a price
        prices = Prices(0.0, 0.0)
    known = KnownModel(listed, window, prices)
    if facts is None:
        return known
    retires = facts.get("retires")
    return known._replace(
        **{key: facts[key] for key in _COPIED if key in facts},
        retires=date.fromisoformat(retires) if retires else None,
        at_home=provider == facts["provider"],
    )


def nearest_known_model(name: str, base_url: str) -> str | None:
    """The model of the provider at this address that a name which nothing is known of most likely means."""
    provider = next((it for it in _providers().values() if re.match(it["host"], base_url)), None)
    if provider is None or ":" in name or find_known_model(name, base_url) is not None:  # `ft:…` are tuned by users
        return None
    return nearest(name.lower(), [row[0] for row in provider["models"]])


_COPIED = ("context_window", "output_limit", "reasoning", "one_sampling", "images", "deferred_tools", "successor")


def _row(name: str, providers: Iterable[str]) -> list[Any] | None:
    rows = (row for provider in providers for row in _providers()[provider]["models"])
    return next((row for row in rows if name == row[0] or any(_matches(pattern, name) for pattern in row[1])), None)


def _matches(pattern: str, name: str) -> bool:
    if pattern[0] == "~":
        return re.search(pattern[1:], name) is not None
    if pattern[0] == "*":
        return pattern[1:] in name
    return name.startswith(pattern[:-1]) if pattern[-1] == "*" else name == pattern


def prices_of(row: Mapping[str, Any]) -> Prices:
    """The Prices of a row: a map of prices by kind, and further such maps for what varies them."""
    flat = {key: value for key, value in row.items() if key in Prices._fields[:7]}
    standard = Prices(**flat, long_prompts=tuple((above, prices_of(other)) for above, other in row.get("above", ())))
    return standard._replace(
        tiers=dict(_tiers(standard, row.get("tiers", {}))),
        hours=tuple((start, end, prices_of(other)) for start, end, other in row.get("hours", ())),
        changes=tuple((_start(day), prices_of(other)) for day, other in row.get("changes", ())),
    )


def _tiers(standard: Prices, tiers: Mapping[str, Any]) -> Iterator[tuple[str, Prices]]:
    for tier, prices in tiers.items():
        yield tier, prices_of(prices) if isinstance(prices, Mapping) else standard.replaced(partial(_times, prices))


def _times(factor: float, prices: Prices) -> Prices:
    amounts = ((key, getattr(prices, key)) for key in Prices._fields[:7])
    return prices._replace(**{key: round(amount * factor, 9) for key, amount in amounts if amount is not None})


def _start(day: str) -> float:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()


@cache
def _providers() -> dict[str, Any]:
    providers: dict[str, Any] = orjson.loads(PRICES.read_bytes())["providers"]
    return providers


@cache
def _facts() -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = orjson.loads(FACTS.read_bytes())["models"]
    return facts
