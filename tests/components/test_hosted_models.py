"""What a hosted model's Config makes of what is known of it, and cached tool definitions."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from victor_dsl.components import api_tools
from victor_dsl.components.api_tools import ToolDefinitions
from victor_dsl.components.models import anthropic, echo, openai
from victor_dsl.components.prices import Prices
from victor_dsl.language.config import Secret
from victor_dsl.transport.http import encode
from victor_dsl.values.tool import Tool

KEY = Secret("env", "KEY")


def claude(**fields: Any) -> anthropic.Config:
    return anthropic.Config.model_validate({"model": "claude-sonnet-4-5", "api_key": KEY, **fields})


def gpt(**fields: Any) -> openai.Config:
    return openai.Config.model_validate({"model": "gpt-4.1-mini", "api_key": KEY, **fields})


def test_what_the_spec_writes_wins_over_the_catalogue() -> None:
    assert claude().window() == 200_000
    assert claude().price() == (3.0, 15.0)
    assert claude(context_window=1000).window() == 1000
    assert claude(input_usd_per_million=1.0).price() == (1.0, 15.0)
    assert claude(input_usd_per_million=1.0, output_usd_per_million=0.0).prices() == Prices(1.0, 0.0)
    rates = claude(cached_usd_per_million=0.25).prices()
    assert rates is not None
    assert (rates.input, rates.cache_read, rates.cache_write) == (3.0, 0.25, 3.75)


def test_one_price_of_an_unknown_model_is_no_price() -> None:
    assert gpt(model="mine", input_usd_per_million=1.0).price() is None
    assert gpt(model="mine", input_usd_per_million=1.0, output_usd_per_million=2.0).price() == (1.0, 2.0)


def test_a_local_model_has_the_window_and_price_that_are_written() -> None:
    assert echo.Config().window() is None
    assert echo.Config().price() is None
    priced = echo.Config.model_validate(
        {"input_usd_per_million": 1.0, "output_usd_per_million": 2, "context_window": 9}
    )
    assert (priced.window(), priced.price()) == (9, (1.0, 2.0))


@pytest.mark.parametrize(
    ("name", "reasoning"),
    [("o3-mini", True), ("gpt-5-nano", True), ("gpt-7", True), ("openai/o9", True), ("gpt-10-x", True),
     ("gpt-4.1", False), ("gpt-5-chat-latest", False), ("gpt-oss-120b", False), ("olmo", False), ("qwen3", False)],
)  # fmt: skip
def test_reasoning_models_are_known_by_their_names(name: str, reasoning: bool) -> None:
    assert gpt(model=name).reasoning is reasoning


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"base_url": "127.0.0.1:8080"}, "http://"),
        ({"base_url": "ftp://x"}, "http://"),
        ({"base_url": "http://"}, "host"),
        ({"base_url": "https://user:pass@x/v1"}, "user and password"),
        ({"base_url": "https://x/v1?api-version=1"}, "write what follows"),
        ({"base_url": "https://x/v1#part"}, "spaces are not allowed"),
        ({"query": {"api-key": "sk-1"}}, "write it as `api_key`"),
        ({"query": {"accessToken": "x"}}, "write it as `api_key`"),
        ({"query": {"api-version": "a\nb"}}, "cannot be printed"),
        ({"query": {"": "x"}}, "is empty"),
        ({"headers": {"Authorization": "Bearer x"}}, "api_key"),
        ({"headers": {"X-Api-Key": "x"}}, "api_key"),
        ({"headers": {"Content-Length": "3"}}, "cannot be changed"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "not allowed in a header"),
        ({"headers": {"X A": "a"}}, "not allowed in a header"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"timeout_seconds": 0}, "greater than 0"),
        ({"proxy": "here"}, "http://"),
    ],
)
@pytest.mark.parametrize("config", [claude, gpt])
def test_a_field_that_cannot_work_is_refused_in_plain_words(config: Any, fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        config(**fields)


@pytest.mark.parametrize(
    "base_url", ["https://x.services.ai.azure.com/models", "https://x/openai/v1", "https://messages.x/v1"]
)
def test_addresses_that_only_look_like_requests_are_right(base_url: str) -> None:
    assert gpt(base_url=base_url).base_url == base_url


def test_openai_itself_needs_a_key_and_a_local_server_none() -> None:
    with pytest.raises(ValidationError, match="needs an `api_key`"):
        openai.Config.model_validate({"model": "gpt-4.1"})
    assert openai.Config.model_validate({"model": "qwen3", "base_url": "http://127.0.0.1:11434/v1/"}).api_key is None


def test_describing_the_models_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from victor_dsl.components.models import anthropic, echo, openai, scripted\n"
        "heavy = {'aiohttp', 'asyncio', 'cattrs', 'jinja2', 'numpy', 'logging', 'importlib.metadata'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_tool_s_definition_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def write(tool: Tool) -> dict[str, Any]:
        written.append(tool.description)
        return {"name": tool.name, "description": tool.description}

    definitions, first, changed = ToolDefinitions(write), Tool("a", "first"), Tool("a", "changed")
    for tools in ((first, changed), (changed, first)):
        expected = [{"name": "a", "description": tool.description} for tool in tools]
        assert json.loads(encode({"tools": definitions.of(tools)})) == {"tools": expected}
    assert written == ["first", "changed"]
    monkeypatch.setattr(api_tools, "MAX_CACHED_TOOLS", 2)
    definitions.of([Tool("b", "third"), first])
    assert written == ["first", "changed", "third", "first"]


def test_a_request_that_needs_the_slower_encoder_has_its_tools() -> None:
    tools = ToolDefinitions(lambda tool: {"name": tool.name, "description": tool.description})
    body = {"tools": tools.of([Tool("a", "half a pair: \ud800")]), "messages": ["\ud800"]}
    expected = {"tools": [{"name": "a", "description": "half a pair: \ufffd"}], "messages": ["\ufffd"]}
    assert json.loads(encode(body)) == expected
