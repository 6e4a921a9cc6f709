"""Where the providers of other tools' model names are reached, and what stands in for their secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from victor_dsl.values.redaction.redactor import Redactor

_ENV = re.compile(
    r"os\.environ/([A-Za-z_][A-Za-z0-9_]*)|\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}|\$\{([A-Z_][A-Z0-9_]*)\}"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Endpoint:
    """How a provider is reached: the type of model, the variable of its key, and its address, where it is not the type's own."""

    type: str
    key: str = ""
    url: str = ""


ENDPOINTS: Mapping[str, Endpoint] = {
    "openai": Endpoint("openai", "OPENAI_API_KEY"),
    "anthropic": Endpoint("anthropic", "ANTHROPIC_API_KEY"),
    "ollama": Endpoint("openai", "", "http://127.0.0.1:11434/v1"),
    "openrouter": Endpoint("openai", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
    "groq": Endpoint("openai", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    "mistral": Endpoint("openai", "MISTRAL_API_KEY", "https://api.mistral.ai/v1"),
    "deepseek": Endpoint("openai", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1"),
    "xai": Endpoint("openai", "XAI_API_KEY", "https://api.x.ai/v1"),
    "gemini": Endpoint("openai", "GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai"),
    "together_ai": Endpoint("openai", "TOGETHERAI_API_KEY", "https://api.together.xyz/v1"),
    "fireworks_ai": Endpoint("openai", "FIREWORKS_API_KEY", "https://api.fireworks.ai/inference/v1"),
    "perplexity": Endpoint("openai", "PERPLEXITYAI_API_KEY", "https://api.perplexity.ai"),
    "cerebras": Endpoint("openai", "CEREBRAS_API_KEY", "https://api.cerebras.ai/v1"),
    "nvidia_nim": Endpoint("openai", "NVIDIA_NIM_API_KEY", "https://integrate.api.nvidia.com/v1"),
    "sambanova": Endpoint("openai", "SAMBANOVA_API_KEY", "https://api.sambanova.ai/v1"),
    "dashscope": Endpoint("openai", "DASHSCOPE_API_KEY", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    "moonshot": Endpoint("openai", "MOONSHOT_API_KEY", "https://api.moonshot.ai/v1"),
}
"""Providers that speak OpenAI's or Anthropic's API, by LiteLLM's name."""

NEED_ADDRESS = frozenset(
    {"hosted_vllm", "vllm", "lm_studio", "custom_openai", "litellm_proxy", "llamafile", "localai", "xinference"}
)
"""Servers of one's own that speak OpenAI's API."""

_KEYS = Redactor(("api_key", "private_key"), {})


class Reference(str):
    """A reference to an environment variable: the only text of an imported spec that is not meant as it reads."""

    __slots__ = ()


def reference(name: str) -> Reference:
    """What stands in a spec for the value of a variable."""
    return Reference(f"${{env:{name}}}")


def variable(value: str) -> str | None:
    """The environment variable that a text of LiteLLM, promptfoo or a shell names, if it is nothing else."""
    found = _ENV.fullmatch(value.strip())
    return next((name for name in found.groups() if name), None) if found else None


def without_keys(value: str) -> str | None:
    """The text with its keys and passwords replaced by their names; None where it has none."""
    redacted = _KEYS.text(value)
    return None if redacted == value else redacted


def variable_name(*parts: str) -> str:
    """The name of a variable made of words: `MY_MODEL_API_KEY`."""
    name = re.sub(r"[^A-Z0-9]+", "_", "_".join(parts).upper()).strip("_")
    return name if _VARIABLE.fullmatch(name) else f"M_{name}"


def azure(model: str, base_url: str, version: str | None, key: str) -> dict[str, Any]:
    """A deployment of Azure's as a model."""
    item: dict[str, Any] = {"type": "openai", "model": model}
    if isinstance(base_url, Reference):  # which of Azure's APIs it is cannot be seen; the newest needs no version
        query = {} if version is None else {"query": {"api-version": version}}
        return {**item, "base_url": base_url, **query, "api_key": key, "api_key_header": "api-key"}
    address = base_url.rstrip("/")
    if version is None or address.endswith("/openai/v1"):
        return {
            **item,
            "base_url": address if address.endswith("/v1") else f"{address}/openai/v1",
            "api_key": key,
            "api_key_header": "api-key",
        }
    if "/deployments/" not in address:
        address += f"/openai/deployments/{model}"
    return {**item, "base_url": address, "query": {"api-version": version}, "api_key": key, "api_key_header": "api-key"}


def model_by_name(model: str) -> dict[str, Any] | None:
    """The model that a bare name, or `provider/name`, means; None where its API is not known."""
    provider, slash, rest = model.partition("/")
    if slash and provider in ENDPOINTS:
        return hosted(provider, rest)
    if _OPENAI.match(model):
        return hosted("openai", model)
    for prefix, provider in (
        ("claude", "anthropic"),
        ("gemini", "gemini"),
        ("deepseek", "deepseek"),
        ("grok", "xai"),
        ("mistral", "mistral"),
    ):
        if model.startswith(prefix):
            return hosted(provider, model)
    return None


def hosted(provider: str, model: str) -> dict[str, Any]:
    """A model of one of `ENDPOINTS`."""
    endpoint = ENDPOINTS[provider]
    item: dict[str, Any] = {"type": endpoint.type, "model": model}
    if endpoint.url:
        item["base_url"] = endpoint.url
    if endpoint.key:
        item["api_key"] = reference(endpoint.key)
    return item


_OPENAI = re.compile(r"(?:gpt-|chatgpt-|o\d\b|o\d-|ft:gpt)")
