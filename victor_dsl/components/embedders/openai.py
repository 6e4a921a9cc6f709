"""Vectors by any server that speaks OpenAI's `/embeddings`: OpenAI, vLLM, Ollama, llama.cpp, text-embeddings-inference, gateways."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import Field, field_validator, model_validator

from victor_dsl.components.embedders._cached import CachedConfig
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import Embedder
from victor_dsl.transport.address import checked_address, checked_headers


class Config(CachedConfig):
    """Embeds by a server that speaks OpenAI's embeddings API.

    A model that changes behind its name is noticed only where its vectors have another length: give each a name of its own.
    """

    model: str = Field(
        min_length=1, description="The model's name, as the server knows it.", examples=["text-embedding-3-small"]
    )
    base_url: str = Field(
        "https://api.openai.com/v1",
        description="The address that `/embeddings` is added to.",
        examples=["http://127.0.0.1:11434/v1"],
    )
    api_key: Secret | None = Field(
        None, description="The API key. Servers of your own may need none.", examples=["${env:OPENAI_API_KEY}"]
    )
    api_key_header: str = Field(
        "Authorization",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="The header that carries the key: `Authorization` as a bearer token, any other as it is.",
        examples=["api-key"],
    )
    dimensions: int | None = Field(
        None, ge=1, le=65_536, description="How long a vector shall be, for models that can shorten theirs."
    )
    batch_size: int = Field(64, ge=1, le=2048, description="How many texts one request holds at most.")
    concurrency: int = Field(4, ge=1, le=1000, description="How many requests run at once at most, of all turns.")
    retries: int = Field(
        2,
        ge=0,
        le=20,
        description="How often a request is tried again that was refused for now (429), met a failing server or no server.",
    )
    timeout_seconds: float = Field(
        30.0, gt=0, description="How long one try may take; also the longest wait before the next one."
    )
    connect_timeout_seconds: float = Field(10.0, gt=0, description="How long a connection, with TLS, may take to open.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers of every request. A key belongs into `api_key`, where it is kept secret.",
        examples=[{"OpenAI-Organization": "org-123"}],
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description="Further fields of every request's JSON body, for what this server has beyond the usual.",
        examples=[{"input_type": "document"}],
    )
    proxy: str | None = Field(
        None,
        description="The URL of an HTTP proxy that requests go through. Left out: none, whatever the environment says.",
    )

    @property
    def chunk_timeout_seconds(self) -> float:
        """As long as a whole answer may take: nothing is streamed."""
        return self.timeout_seconds

    @field_validator("base_url")
    @classmethod
    def _base_url_is_an_address(cls, base_url: str) -> str:
        return checked_address(base_url)

    @field_validator("proxy")
    @classmethod
    def _proxy_is_an_address(cls, proxy: str | None) -> str | None:
        return proxy if proxy is None else checked_address(proxy)

    @field_validator("headers")
    @classmethod
    def _headers_are_plain(cls, headers: dict[str, str]) -> dict[str, str]:
        return checked_headers(headers)

    @field_validator("extra_body")
    @classmethod
    def _body_is_not_replaced(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for name in sorted({"model", "input", "dimensions"} & extra.keys()):
            raise ValueError(f"extra_body cannot set '{name}', which every request has of its own")
        return extra

    @model_validator(mode="after")
    def _openai_needs_a_key(self) -> Config:
        if self.api_key is None and self.base_url.startswith("https://api.openai.com/"):
            raise ValueError("api.openai.com needs an `api_key`; for another server, write its `base_url`")
        return self


EXAMPLE = '{type: openai, model: text-embedding-3-small, api_key: "${env:OPENAI_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Embedder]:
    """The client, which owns its connections and its file of vectors while it is entered."""
    from victor_dsl.components.embedders._embeddings_api import EmbeddingsApi
    from victor_dsl.components.embedders._kept_on_disk import remembered

    return remembered(EmbeddingsApi(config, context), config, context)
