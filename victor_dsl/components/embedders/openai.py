"""Vectors by any server that speaks OpenAI's `/embeddings`: OpenAI, vLLM, Ollama, llama.cpp, text-embeddings-inference, gateways."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import ClassVar

from pydantic import Field

from victor_dsl.components.embedders._cached import CachedConfig
from victor_dsl.language.component import Context
from victor_dsl.language.http_config import OpenAIServerConfig
from victor_dsl.language.kinds import Embedder


class Config(OpenAIServerConfig, CachedConfig):
    """Embeds by a server that speaks OpenAI's embeddings API.

    `base_url` is the address that `/embeddings` is added to. A model that changes behind its name is noticed only where its vectors have another length: give each a name of its own.
    """

    RESERVED_FIELDS: ClassVar[frozenset[str]] = frozenset({"model", "input", "dimensions"})

    model: str = Field(
        min_length=1, description="The model's name, as the server knows it.", examples=["text-embedding-3-small"]
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

    @property
    def chunk_timeout_seconds(self) -> float:
        """As long as a whole answer may take: nothing is streamed."""
        return self.timeout_seconds


EXAMPLE = '{type: openai, model: text-embedding-3-small, api_key: "${env:OPENAI_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Embedder]:
    """The client, which owns its connections and its file of vectors while it is entered."""
    from victor_dsl.components.embedders._embeddings_api import EmbeddingsApi
    from victor_dsl.components.embedders._kept_on_disk import remembered

    return remembered(EmbeddingsApi(config, context), config, context)
