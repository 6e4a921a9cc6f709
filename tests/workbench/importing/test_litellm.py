"""LiteLLM's configurations become specs that compile, and every key is taken or named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workbench.importing.importing import Result, imported
from victor_dsl.errors import SpecError
from victor_dsl.workbench.importing.litellm import read_litellm

KEY = "sk-" + "a1B2" * 8


def litellm(folder: Path, text: str) -> Result:
    return imported(lambda path, _: read_litellm(path), folder, "config.yaml", text)


def test_a_gateway_of_several_providers(tmp_path: Path) -> None:
    done = litellm(
        tmp_path,
        f"""\
model_list:
  - model_name: chat
    litellm_params:
      model: azure/chat-eu
      api_base: https://eu.openai.azure.com/
      api_version: "2025-04-01-preview"
      api_key: os.environ/AZURE_EU
      rpm: 60
      weight: 3
  - model_name: chat
    litellm_params: {{model: gpt-4.1-mini, api_key: {KEY}, rpm: 20_000, tpm: 1e6, weight: 1, max_retries: 2}}
    model_info: {{id: direct, supports_vision: true}}
  - model_name: big/one
    litellm_params: {{model: anthropic/claude-sonnet-5-5, temperature: 0.2, timeout: 300, stream_timeout: 60}}
  - model_name: local
    litellm_params: {{model: ollama_chat/qwen3, api_base: "http://127.0.0.1:11434"}}
    model_info: {{max_input_tokens: 32768, input_cost_per_token: 0.000002, output_cost_per_token: 0}}
  - model_name: vectors
    litellm_params: {{model: text-embedding-3-small}}
    model_info: {{mode: embedding}}
  - model_name: far
    litellm_params: {{model: bedrock/titan, aws_region_name: us-east-1}}
  - model_name: "*"
    litellm_params: {{model: "openai/*"}}
router_settings:
  routing_strategy: simple-shuffle
  num_retries: 2
  allowed_fails: 4
  cooldown_time: 30
  redis_host: os.environ/REDIS_HOST
  fallbacks: [{{chat: [big/one, nobody]}}, {{local: [chat]}}]
litellm_settings: {{request_timeout: 90, drop_params: True, success_callback: [langfuse], novelty: 1}}
general_settings: {{master_key: {KEY}, database_url: "postgresql://u:secret@db/x"}}
surprise: {{}}
""",
    )
    spec = done.spec
    assert spec["models"] == {
        "chat": {
            "type": "pool",
            "members": ["chat-1", "direct"],
            "by": "weight",
            "weights": {"chat-1": 3, "direct": 1},
            "limits": {
                "chat-1": {"requests_per_minute": 60},
                "direct": {"requests_per_minute": 20000, "tokens_per_minute": 1000000},
            },
            "circuit": {"failures": 4, "open_seconds": 30},
        },
        "chat-1": {
            "type": "openai",
            "model": "chat-eu",
            "base_url": "https://eu.openai.azure.com/openai/deployments/chat-eu",
            "query": {"api-version": "2025-04-01-preview"},
            "api_key": "${env:AZURE_EU}",
            "api_key_header": "api-key",
            "timeout_seconds": 90,
        },
        "direct": {
            "type": "openai",
            "model": "gpt-4.1-mini",
            "api_key": "${env:CHAT_API_KEY}",
            "timeout_seconds": 90,
        },
        "big-one": {
            "type": "anthropic",
            "model": "claude-sonnet-5-5",
            "api_key": "${env:ANTHROPIC_API_KEY}",
            "timeout_seconds": 300,
            "first_token_seconds": 60,
            "settings": {"temperature": 0.2},
        },
        "local": {
            "type": "openai",
            "model": "qwen3",
            "base_url": "http://127.0.0.1:11434/v1",
            "context_window": 32768,
            "input_usd_per_million": 2,
            "output_usd_per_million": 0,
            "timeout_seconds": 90,
        },
    }
    assert spec["settings"] == {"model": "chat", "fallbacks": ["big-one"]}
    assert spec["request"] == ["model"]
    assert spec["middleware"] == [{"type": "retry", "attempts": 3}]
    assert set(done.not_taken) == {
        "11: model_list[1].litellm_params.api_key",
        "11: model_list[1].litellm_params.max_retries",
        "12: model_list[1].model_info.supports_vision",
        "19: model_list[4].litellm_params.model",
        "22: model_list[5].litellm_params.model",
        "24: model_list[6].litellm_params.model",
        "30: router_settings.redis_host",
        "31: router_settings.fallbacks[0]",
        "31: router_settings.fallbacks[1].local",
        "32: litellm_settings.drop_params",
        "32: litellm_settings.success_callback",
        "32: litellm_settings.novelty",
        "33: general_settings.master_key",
        "33: general_settings.database_url",
        "34: surprise",
    }
    assert KEY not in done.text
    assert not any(KEY in one or "secret@" in one for one in done.not_taken.values())


@pytest.mark.parametrize(
    ("params", "item"),
    [
        ("{model: openrouter/z/m}", {"type": "openai", "model": "z/m", "base_url": "https://openrouter.ai/api/v1", "api_key": "${env:OPENROUTER_API_KEY}"}),
        ("{model: hosted_vllm/m, api_base: os.environ/BASE}", {"type": "openai", "model": "m", "base_url": "${env:BASE}"}),
        ("{model: m, api_base: 'https://a/v1/', api_key: os.environ/K}", {"type": "openai", "model": "m", "base_url": "https://a/v1", "api_key": "${env:K}"}),
        ("{model: claude-sonnet-5-5}", {"type": "anthropic", "model": "claude-sonnet-5-5", "api_key": "${env:ANTHROPIC_API_KEY}"}),
        ("{model: azure/d, api_base: 'https://a.openai.azure.com'}", {"type": "openai", "model": "d", "base_url": "https://a.openai.azure.com/openai/v1", "api_key": "${env:AZURE_API_KEY}", "api_key_header": "api-key"}),
        ("{model: m, custom_llm_provider: groq, stop: END}", {"type": "openai", "model": "m", "base_url": "https://api.groq.com/openai/v1", "api_key": "${env:GROQ_API_KEY}", "settings": {"stop": ["END"]}}),
        ("{model: openai/m, api_base: 'https://u:passw0rd@a/v1', api_key: os.environ/K}", {"type": "openai", "model": "m", "base_url": "${env:M_API_BASE}", "api_key": "${env:K}"}),
    ],
)  # fmt: skip
def test_endpoints(tmp_path: Path, params: str, item: dict[str, Any]) -> None:
    done = litellm(tmp_path, f"model_list: [{{model_name: m, litellm_params: {params}}}]")
    assert done.spec["models"] == {"m": item}


@pytest.mark.parametrize(
    ("strategy", "order", "expected"),
    [
        ("least-busy", "", "least_busy"),
        ("latency-based-routing", "", "weight"),
        ("simple-shuffle", ", order: ", "order"),
    ],
)
def test_how_a_pool_chooses(tmp_path: Path, strategy: str, order: str, expected: str) -> None:
    entries = ", ".join(
        f"{{model_name: m, litellm_params: {{model: gpt-4.1-mini{order and f'{order}{2 - number}'}}}}}"
        for number in (0, 1)
    )
    done = litellm(tmp_path, f"model_list: [{entries}]\nrouter_settings: {{routing_strategy: {strategy}}}\n")
    pool = done.spec["models"]["m"]
    assert pool["by"] == expected
    assert pool["members"] == (["m-2", "m-1"] if order else ["m-1", "m-2"])
    assert bool(done.not_taken) == (strategy == "latency-based-routing")


def test_a_file_without_a_model_names_what_was_in_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no model in it can be one of a spec") as caught:
        litellm(tmp_path, "model_list: [{model_name: '*', litellm_params: {model: 'openai/*'}}]")
    assert [one.path for one in caught.value.diagnostics] == ["model_list[0].litellm_params.model"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "it is empty"), ("a: [", r"config\.yaml:\d+:\d+: "), ("[1]", "no model"), ("model_list: 7", "no model")],
)
def test_what_is_no_configuration_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        litellm(tmp_path, text)


def test_a_pool_of_one_has_no_weights(tmp_path: Path) -> None:
    done = litellm(tmp_path, "model_list: [{model_name: m, litellm_params: {model: gpt-4.1, weight: 2, rpm: 5}}]")
    assert "weights" not in done.spec["models"]["m"]


@pytest.mark.parametrize("number", [".nan", ".inf", "'nan'", "1" + "0" * 400])
def test_a_number_without_an_end_is_named(tmp_path: Path, number: str) -> None:
    config = "model_list: [{model_name: m, litellm_params: {model: gpt-4.1}}]\nlitellm_settings: {num_retries: "
    done = litellm(tmp_path, f"{config}{number}}}")
    assert done.not_taken == {"2: litellm_settings.num_retries": "it is not a number"}
