"""Writes the prices and windows of hosted models from the package genai-prices: `python -m docs.model_prices`; `--check` says
whether they are old."""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

DATA = Path(__file__).parent.parent / "victor_dsl/components/model_prices.json"
ABOUT = """\
Written by ./dev prices: do not edit. Context windows and list prices of hosted models as of the date `as_of`, from the Python package
genai-prices (https://github.com/pydantic/genai-prices, MIT License, Copyright (c) 2025 to present Pydantic Services Inc.).
Of each provider: `host`, a pattern of its address; `also`, other providers whose models it offers; and `models`: the name of each, the
other names that it matches, its context window, and its prices. `name*` matches what begins with it, `*name` what contains it; after `~`
is a pattern.
Prices are in US dollars for a million tokens, and `request` for a call. `above` are the prices for prompts of more than a number of
tokens; `tiers` those of service tiers, where a number is a factor of the standard prices; `hours` those between two seconds of the UTC
day; `changes` those from a date on."""
PROVIDERS = (
    "anthropic", "openai", "google", "x-ai", "deepseek", "mistral", "moonshotai", "aws", "azure", "cerebras", "cohere",
    "fireworks", "groq", "minimax", "openrouter", "perplexity", "together", "zai",
)  # fmt: skip
KINDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "requests_kcount": "request",
}
"""The prices that text models have, by their names in genai-prices."""
NOT_TEXT = re.compile(
    r"image|tts|audio|realtime|transcri|whisper|embed|moderation|ocr|-live|voice|voxtral|robotics|banana"
)
FACTOR_TIERS = ("flex", "priority", "fast", "batch")


def data(as_of: dt.date) -> dict[str, Any]:
    """The contents of the file."""
    from genai_prices.data import providers

    by_id = {provider.id: provider for provider in providers}
    return {
        "about": ABOUT.splitlines(),
        "version": version("genai-prices"),
        "as_of": as_of.isoformat(),
        "providers": {id: _provider(by_id[id], as_of) for id in PROVIDERS},
    }


def text(as_of: dt.date) -> str:
    """The file, with one line for each model."""
    contents = data(as_of)
    head = {key: value for key, value in contents.items() if key != "providers"}
    lines = [orjson.dumps(head, option=orjson.OPT_INDENT_2).decode().removesuffix("\n}"), ',\n  "providers": {']
    for number, (id, provider) in enumerate(contents["providers"].items()):
        models = ",\n".join(orjson.dumps(model).decode() for model in provider["models"])
        about = orjson.dumps({**provider, "models": None}).decode().removesuffix("null}")
        lines.append(f'{"," if number else ""}\n"{id}": {about}[\n{models}]}}')
    return "".join([*lines, "\n}}\n"])


def _provider(provider: Any, as_of: dt.date) -> dict[str, Any]:
    also = [id for id in provider.fallback_model_providers or () if id in PROVIDERS]
    return {"host": provider.api_pattern, "also": also, "models": list(_models(provider, as_of))}


def _models(provider: Any, as_of: dt.date) -> Iterator[list[Any]]:
    for model in provider.models:
        prices = _prices(model, as_of)
        if "input" in prices and "output" in prices and not NOT_TEXT.search(model.id):
            yield [model.id, [name for name in _names(model.match) if name != model.id], model.context_window, prices]


def _names(clause: Any) -> Iterator[str]:
    match vars(clause):
        case {"equals": name}:
            yield name.lower()
        case {"starts_with": name}:
            yield f"{name.lower()}*"
        case {"contains": name}:
            yield f"*{name.lower()}"
        case {"ends_with": name}:
            yield f"~{re.escape(name.lower())}$"
        case {"regex": pattern}:
            yield f"~{pattern}"
        case {"or_": clauses}:
            for one in clauses:
                yield from _names(one)
        case {"and_": clauses}:
            patterns = [_pattern(name) for one in clauses for name in _names(one)]
            yield "~" + "".join(f"(?=.*?(?:{pattern}))" for pattern in patterns)


def _pattern(name: str) -> str:
    if name.startswith("~"):
        return name[1:]
    if name.startswith("*"):
        return re.escape(name[1:])
    return f"^{re.escape(name.removesuffix('*'))}" + ("" if name.endswith("*") else "$")


def _prices(model: Any, as_of: dt.date) -> dict[str, Any]:
    """The prices in force on the date, with those that change by the hour, and those that are to come."""
    if not isinstance(model.prices, list):
        return _with_tiers(model, model.prices, as_of)
    standard, hours, changes = model.prices[0].prices, [], []
    for conditional in model.prices:
        match vars(conditional.constraint) if conditional.constraint else {}:
            case {"start_date": date} if date > as_of:
                changes.append([date.isoformat(), _flat_or_tiered(conditional.prices)])
            case {"start_time": start, "end_time": end}:
                hours.append([_second(start), _second(end), _flat_or_tiered(conditional.prices)])
            case _:
                standard, hours = conditional.prices, []
    found = _with_tiers(model, standard, as_of)
    return found | ({"hours": hours} if hours else {}) | ({"changes": changes} if changes else {})


def _with_tiers(model: Any, standard: Any, as_of: dt.date) -> dict[str, Any]:
    prices = _flat_or_tiered(standard)
    tiers: dict[str, Any] = {}
    for variant in model.price_variants or ():
        start = getattr(variant.constraint, "start_date", None)
        overrides = {key: price for key, price in vars(variant.prices).items() if price is not None}
        if len(variant.when) == 1 and overrides and (start is None or start <= as_of):
            (tier,) = variant.when.values()
            own = _flat_or_tiered(type(standard)(**{**vars(standard), **overrides}))
            if tier in FACTOR_TIERS and own != prices:
                tiers.setdefault(tier, _factor(prices, own) or own)
    return prices | ({"tiers": tiers} if tiers else {})


def _factor(prices: Mapping[str, Any], own: Mapping[str, Any]) -> float | None:
    """By what all prices of the standard tier are multiplied; None where they differ in more than that."""
    factor = round(own["input"] / prices["input"], 6) if prices["input"] else 0
    return factor if _times(prices, factor) == own else None


def _times(prices: Mapping[str, Any], factor: float) -> dict[str, Any]:
    return {
        key: [[above, _times(other, factor)] for above, other in price] if key == "above" else round(price * factor, 9)
        for key, price in prices.items()
    }


def _flat_or_tiered(prices: Any) -> dict[str, Any]:
    """The prices of short prompts, and under `above` those of longer ones."""
    own = {short: price for name, short in KINDS.items() if (price := vars(prices).get(name)) is not None}
    starts = sorted({tier.start for price in own.values() for tier in getattr(price, "tiers", ())})
    found: dict[str, Any] = {name: _price(name, price, 0) for name, price in own.items()}
    above = [[start, {name: _price(name, price, start + 1) for name, price in own.items()}] for start in starts]
    return found | ({"above": above} if above else {})


def _price(name: str, price: Any, tokens: int) -> float:
    for tier in reversed(getattr(price, "tiers", ())):
        if tokens > tier.start:
            price = tier.price
            break
    amount = float(getattr(price, "base", price))
    return round(amount / 1000, 9) if name == "request" else amount


def _second(time: dt.time) -> int:
    return time.hour * 3600 + time.minute * 60


def main(arguments: list[str]) -> int:
    """Writes the file; with --check it writes nothing and gives 1 where the file is old."""
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python -m docs.model_prices [--check]", file=sys.stderr)
        return 2
    before = DATA.read_text(encoding="utf-8")
    as_of = dt.date.fromisoformat(orjson.loads(before)["as_of"])
    if text(as_of) == before:
        return 0
    if check:
        print(f"{DATA.name} is not what genai-prices {version('genai-prices')} says; run ./dev prices", file=sys.stderr)
        return 1
    DATA.write_text(text(dt.datetime.now(dt.UTC).date()), encoding="utf-8")
    print(f"wrote {DATA.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
