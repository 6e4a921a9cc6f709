"""The usage that servers report, in all of their dialects, whole and streamed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.models.asking import HELLO, Listener, asking
from tests.components.models.playback import Playback, events, streamed, whole
from tests.components.models.recorded import anthropic_whole, openai_chunk, openai_whole
from victor_dsl.values.message import Usage

COUNTS = {"prompt_tokens": 100, "completion_tokens": 20}


def of_openai(**counts: Any) -> dict[str, Any]:
    return {**COUNTS, **counts}


OPENAI: dict[str, tuple[Any, Usage]] = {
    "plain": (of_openai(total_tokens=120), Usage(100, 20)),
    "OpenAI": (
        of_openai(
            total_tokens=120,
            prompt_tokens_details={"cached_tokens": 60, "cache_write_tokens": 30, "audio_tokens": 0},
            completion_tokens_details={"reasoning_tokens": 15, "accepted_prediction_tokens": 0},
        ),
        Usage(100, 20, None, 60, 30, 15),
    ),
    "DeepSeek": (
        of_openai(prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36, total_tokens=120),
        Usage(100, 20, None, 64),
    ),
    "Kimi": (of_openai(cached_tokens=64, total_tokens=120), Usage(100, 20, None, 64)),
    "LiteLLM before Claude": (
        of_openai(
            prompt_tokens_details={"cached_tokens": 0},
            cache_read_input_tokens=64,
            cache_creation_input_tokens=30,
            total_tokens=120,
        ),
        Usage(100, 20, None, 64, 30),
    ),
    "xAI: thoughts are no part of the completion": (
        of_openai(total_tokens=150, completion_tokens_details={"reasoning_tokens": 30}),
        Usage(100, 50, None, None, None, 30),
    ),
    "xAI: more thoughts than text": (
        of_openai(total_tokens=506, completion_tokens_details={"reasoning_tokens": 386}),
        Usage(100, 406, None, None, None, 386),
    ),
    "xAI without a total": (
        of_openai(completion_tokens_details={"reasoning_tokens": 386}),
        Usage(100, 406, None, None, None, 386),
    ),
    "Gemini: thoughts count in the total alone": (of_openai(total_tokens=150), Usage(100, 50, None, None, None, 30)),
    "fractions": ({"prompt_tokens": 100.0, "completion_tokens": 20.0, "total_tokens": 120.5}, Usage(100, 20)),
    "the names of other APIs": ({"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}, Usage(100, 20)),
    "thoughts beside the counts": (
        of_openai(total_tokens=120, reasoning_tokens=15),
        Usage(100, 20, None, None, None, 15),
    ),
    "zeros of a server that does not count": (
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prompt_tokens_details": None},
        Usage(),
    ),
    "thoughts alone": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 0,
            "total_tokens": 160,
            "completion_tokens_details": {"reasoning_tokens": 60},
        },
        Usage(100, 60, None, None, None, 60),
    ),
    "details of null": (of_openai(prompt_tokens_details=None, completion_tokens_details=None), Usage(100, 20)),
    "odd: negative": (
        of_openai(
            total_tokens=-5,
            prompt_tokens_details={"cached_tokens": -3, "cache_write_tokens": -1},
            completion_tokens_details={"reasoning_tokens": -2},
        ),
        Usage(100, 20),
    ),
    "odd: text": (
        of_openai(total_tokens="120", prompt_tokens_details="60", completion_tokens_details=["15"]),
        Usage(100, 20),
    ),
    "odd: parts larger than the whole": (
        of_openai(
            total_tokens=120,
            prompt_tokens_details={"cached_tokens": 1000, "cache_write_tokens": 1000},
            completion_tokens_details={"reasoning_tokens": 1000},
        ),
        Usage(100, 20, None, 100, 0, 20),
    ),
    "odd: a total that is less than its parts": (of_openai(total_tokens=3), Usage(100, 20)),
    "odd: beyond any count": (of_openai(total_tokens=10**400, cached_tokens=10**400), Usage(100, 20)),
    "odd: a part without a whole": ({"prompt_tokens_details": {"cached_tokens": 5}}, Usage(None, None, None, 5)),
    "odd: usage is text": ("120 tokens", Usage()),
    "odd: usage is a list": ([120], Usage()),
}

ANTHROPIC: dict[str, tuple[Any, Usage]] = {
    "plain": ({"input_tokens": 100, "output_tokens": 20}, Usage(100, 20)),
    "the cache is no part of the input": (
        {
            "input_tokens": 10,
            "cache_read_input_tokens": 60,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 15},
            "service_tier": "standard",
        },
        Usage(100, 20, None, 60, 30, 15),
    ),
    "writes by time alone": (
        {"input_tokens": 70, "cache_creation": {"ephemeral_1h_input_tokens": 30}, "output_tokens": 20},
        Usage(100, 20, None, None, 30),
    ),
    "odd: null": (
        {
            "input_tokens": 100,
            "cache_read_input_tokens": None,
            "cache_creation_input_tokens": None,
            "cache_creation": None,
            "output_tokens": 20,
            "output_tokens_details": None,
        },
        Usage(100, 20),
    ),
    "odd: negative and text": (
        {
            "input_tokens": 100,
            "cache_read_input_tokens": -60,
            "cache_creation_input_tokens": "30",
            "cache_creation": {"ephemeral_1h_input_tokens": -1},
            "output_tokens": 20,
            "output_tokens_details": {"thinking_tokens": 1000},
            "speed": ["fast"],
        },
        Usage(100, 20, None, None, None, 20),
    ),
    "odd: no input": ({"output_tokens": 20, "cache_read_input_tokens": 5}, Usage(None, 20, None, 5)),
    "odd: beyond any count": ({"input_tokens": 10**400, "output_tokens": 10**400}, Usage()),
    "odd: usage is text": ("120 tokens", Usage()),
}


@pytest.mark.parametrize(("reported", "expected"), OPENAI.values(), ids=OPENAI)
async def test_the_usage_of_a_chat_completion(reported: Any, expected: Usage) -> None:
    body = {**openai_whole({"content": "a"}), "usage": reported}
    async with Playback(whole(body)) as server, asking("openai", server.url) as model:
        assert (await model.answer(HELLO)).usage == expected
    chunks = (
        openai_chunk({"content": "a"}),
        openai_chunk({}, "stop"),
        {**openai_chunk({}), "choices": [], "usage": reported},
    )
    async with Playback(streamed(events(*chunks, "[DONE]"), "end")) as server, asking("openai", server.url) as model:
        assert (await model.answer(Listener().to(HELLO))).usage == expected


async def test_zeros_at_the_end_do_not_replace_what_was_counted() -> None:
    zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    chunks = ({**openai_chunk({"content": "a"}, "stop"), "usage": COUNTS}, {"choices": [], "usage": zeros}, "[DONE]")
    async with Playback(streamed(events(*chunks), "end")) as server, asking("openai", server.url) as model:
        assert (await model.answer(Listener().to(HELLO))).usage == Usage(100, 20)


@pytest.mark.parametrize(("reported", "expected"), ANTHROPIC.values(), ids=ANTHROPIC)
async def test_the_usage_of_a_message(reported: Any, expected: Usage) -> None:
    body = {**anthropic_whole([{"type": "text", "text": "a"}]), "usage": reported}
    async with Playback(whole(body)) as server, asking("anthropic", server.url) as model:
        assert (await model.answer(HELLO)).usage == expected


@pytest.mark.parametrize("usage", [usage for usage, _ in OPENAI.values()], ids=OPENAI)
async def test_no_usage_costs_less_than_nothing(usage: Any) -> None:
    body = {**openai_whole({"content": "a"}), "usage": usage}
    async with Playback(whole(body)) as server, asking("openai", server.url, model="gpt-4.1") as model:
        cost = (await model.answer(HELLO)).usage.cost_usd
    assert cost is None or 0 < cost < 1
