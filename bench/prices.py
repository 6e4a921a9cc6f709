"""What one recorded answer costs, for each shape of price: `python -m bench.prices`.

Each answer is read by the reader of its API. The expected cost is worked out by hand from the provider's price list.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bench.measure import table
from victor_dsl.components.hosted_models import HostedConfig
from victor_dsl.components.models import anthropic, openai
from victor_dsl.components.models.anthropic.reply import MessageAnswer
from victor_dsl.components.models.openai.chat_reply import ChatAnswer
from victor_dsl.components.models.openai.responses_reply import ResponseAnswer
from victor_dsl.language.config import Secret
from victor_dsl.values.message import Message, Usage
from victor_dsl.values.turn import Turn

TURN = Turn(id="1", session="s", messages=(Message("user", "Hello!"),))
NOW = "2026-11-26T12:00"
OPENAI, ANTHROPIC, XAI = "https://api.openai.com/v1", "https://api.anthropic.com", "https://api.x.ai/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
DEEPSEEK, PERPLEXITY = "https://api.deepseek.com", "https://api.perplexity.ai"
BEDROCK = "https://bedrock-runtime.eu-central-1.amazonaws.com"


class Case(NamedTuple):
    """An answer's usage as its server reports it, and its cost in US dollars, to the digit; None where it is not known."""

    shape: str
    api: str
    model: str
    base_url: str
    usage: Mapping[str, Any]
    cost: str | None
    spec: Mapping[str, Any] = {}
    more: Mapping[str, Any] = {}
    time: str = NOW


def chat(prompt: int, completion: int, cached: int = 0, written: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """The usage of a chat completion by OpenAI."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


CLAUDE = {
    "input_tokens": 100,
    "cache_read_input_tokens": 5000,
    "cache_creation_input_tokens": 2000,
    "output_tokens": 300,
}
IN_AN_HOUR = {"cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1500}}
RESPONSE = {
    "input_tokens": 10_000,
    "input_tokens_details": {"cached_tokens": 8000, "cache_write_tokens": 1000},
    "output_tokens": 200,
    "output_tokens_details": {"reasoning_tokens": 100},
    "total_tokens": 10_200,
}
GROK = {
    "prompt_tokens": 10_120,
    "completion_tokens": 1499,
    "total_tokens": 14_428,
    "prompt_tokens_details": {"cached_tokens": 128},
    "completion_tokens_details": {"reasoning_tokens": 2809},
}
THOUGHTS_IN_TOTAL = {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623}
HITS = {"prompt_tokens": 10_000, "completion_tokens": 1000, "total_tokens": 11_000, "prompt_cache_hit_tokens": 6000}
OWN = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0}
SHORT, LONG = chat(272_000, 1000), chat(300_000, 1000, cached=200_000)

CASES = (
    Case("plain", "openai", "gpt-6.1-sol", OPENAI, chat(1200, 300), "0.0054"),
    Case("cached input", "openai", "gpt-6.1-sol", OPENAI, chat(10_000, 200, cached=8000), "0.0068"),
    Case("cache write", "openai", "gpt-6.1-sol", OPENAI, chat(10_000, 200, written=6000), "0.025"),
    Case("responses API", "openai", "gpt-6.1-sol", OPENAI, RESPONSE, "0.0073", {"api": "responses"}),
    Case("cache hits by name", "openai", "deepseek-v4-pro", DEEPSEEK, HITS, "0.004752", time="2026-11-26T12:00"),
    Case("cache write for 5 minutes", "anthropic", "claude-sonnet-5-5", ANTHROPIC, CLAUDE, "0.0087"),
    Case("cache write for an hour", "anthropic", "claude-sonnet-5-5", ANTHROPIC, {**CLAUDE, **IN_AN_HOUR}, "0.01095"),
    Case("at the limit of long prompts", "openai", "gpt-6.1-sol", OPENAI, SHORT, "0.554"),
    Case("long prompt", "openai", "gpt-6.1-sol", OPENAI, LONG, "0.455"),
    Case("thoughts in the output", "openai", "gpt-6.1-sol", OPENAI, chat(100, 500, reasoning=400), "0.0052"),
    Case("thoughts beside the output", "openai", "grok-4.20", XAI, GROK, "0.0232856"),
    Case("thoughts in the total", "openai", "gemini-3.8-flash", GOOGLE, THOUGHTS_IN_TOTAL, "0.00227625"),
    Case("thoughts at their own price", "openai", "sonar-deep-research", PERPLEXITY, chat(1000, 500, reasoning=400), "0.004"),
    Case("price of a request", "openai", "sonar-pro", PERPLEXITY, chat(1000, 500), "0.0245"),
    Case("off-peak", "openai", "deepseek-flash", DEEPSEEK, HITS, "0.001218", time="2026-11-26T12:00"),
    Case("peak", "openai", "deepseek-flash", DEEPSEEK, HITS, "0.002436", time="2026-11-26T02:00"),
    Case("price of next year", "openai", "gemini-3.8-flash", GOOGLE, THOUGHTS_IN_TOTAL, "0.0045525", time="2027-01-01T00:00"),
    Case("tier flex", "openai", "gpt-6.1-sol", OPENAI, chat(1200, 300), "0.0027", more={"service_tier": "flex"}),
    Case("tier priority", "openai", "gpt-6.1-sol", OPENAI, chat(1200, 300), "0.0108", more={"service_tier": "priority"}),
    Case("tier default", "openai", "gpt-6.1-sol", OPENAI, chat(1200, 300), "0.0054", more={"service_tier": "default"}),
    Case("fast mode", "anthropic", "claude-opus-5-5", ANTHROPIC, {**CLAUDE, "speed": "fast"}, "0.0348"),
    Case("batch", "anthropic", "claude-sonnet-5-5", ANTHROPIC, {**CLAUDE, "service_tier": "batch"}, "0.00435"),
    Case("another platform", "anthropic", "eu.anthropic.claude-opus-5-5", BEDROCK, CLAUDE, "0.01914"),
    Case("the spec's prices", "openai", "gpt-6.1-sol", OPENAI, chat(10_000, 200, 8000, 1000), "0.0104", OWN),
    Case(
        "the spec's cache prices", "openai", "mine", "http://127.0.0.1:8000", chat(10_000, 200, 8000, 1000), "0.0047",
        {**OWN, "cached_usd_per_million": 0.25, "cache_write_usd_per_million": 1.3},
    ),
    Case("one price of the spec", "openai", "gpt-6.1-sol", OPENAI, LONG, "0.442", {"output_usd_per_million": 2.0}),
    Case("unknown model", "openai", "mine", "http://127.0.0.1:8000", chat(1200, 300), None),
    Case("unknown usage", "openai", "gpt-6.1-sol", OPENAI, {}, None),
)  # fmt: skip


def usage_of(case: Case) -> Usage:
    """The usage of a case's answer, as the model's adapter reads it."""
    module = {"openai": openai, "anthropic": anthropic}[case.api]
    config: HostedConfig = module.Config.model_validate(
        {"model": case.model, "base_url": case.base_url, "api_key": Secret("env", "KEY"), **case.spec}
    )
    listed = config.prices()
    prices = listed and listed.at(datetime.fromisoformat(case.time).replace(tzinfo=UTC).timestamp())
    answer: Any
    if case.api == "anthropic":
        answer = MessageAnswer(TURN, prices)
    elif case.spec.get("api") == "responses":
        answer = ResponseAnswer(TURN, prices, case.model)
    else:
        answer = ChatAnswer(TURN, prices, case.model)
    answer.add_whole({"output": [], "usage": case.usage, **case.more})
    usage: Usage = answer.usage()
    return usage


def main() -> None:
    """Prints the table."""
    rows = []
    for case in CASES:
        usage = usage_of(case)
        counts = (
            usage.input_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
        )
        cost = "unknown" if usage.cost_shown is None else f"{usage.cost_shown:.9f}".rstrip("0")
        rows.append([case.shape, case.model, *("-" if count is None else f"{count:,}" for count in counts), cost])
    print(table(["shape", "model", "input", "cached", "written", "output", "thoughts", "US dollars"], rows))


if __name__ == "__main__":
    main()
