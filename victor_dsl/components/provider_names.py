"""What OpenTelemetry's conventions for generative AI call the providers of models (`gen_ai.provider.name`)."""

from __future__ import annotations

from urllib.parse import urlsplit

_HOSTS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "amazonaws.com": "aws.bedrock",
    "api.cohere.com": "cohere",
    "api.deepseek.com": "deepseek",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "api.groq.com": "groq",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "api.mistral.ai": "mistral_ai",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
}
"""Providers by their hosts, or by what their hosts' names end with."""


def provider_name(base_url: str, api: str) -> str:
    """The provider at an address; for one that the conventions have no name for, the API that its server speaks.

    >>> provider_name("https://api.x.ai/v1", "openai"), provider_name("http://127.0.0.1:4000", "anthropic")
    ('x_ai', 'anthropic')
    >>> provider_name("https://eu-aiplatform.googleapis.com/v1", "openai"), provider_name("https://notapi.x.ai", "openai")
    ('gcp.vertex_ai', 'openai')
    """
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return api
    found = (name for end, name in _HOSTS.items() if host == end or host.endswith((f".{end}", f"-{end}")))
    return next(found, api)
