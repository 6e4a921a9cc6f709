"""Claude, or another model behind a server that speaks Anthropic's `/v1/messages`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator

from victor_dsl.components.models._hosted import HostedConfig
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.language.kinds import Model
from victor_dsl.transport.address import checked_address


class Config(HostedConfig):
    """Answers by a server that speaks Anthropic's messages API.

    `seed` is not sent, as this API has none; a `temperature` above 1 is sent as 1, where its range ends; of
    `response_format` it knows `json_schema` alone.
    """

    base_url: str = Field(
        "https://api.anthropic.com",
        description="The address that `/v1/messages` is added to; it may end with `/v1` itself.",
        examples=["http://127.0.0.1:4000"],
    )
    api_key: Secret = Field(description="The API key.", examples=["${env:ANTHROPIC_API_KEY}"])
    api_key_header: str = Field(
        "x-api-key",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="The header that carries the key: `Authorization` as a bearer token, any other as it is.",
        examples=["Authorization"],
    )
    version: str = Field(
        "2023-06-01", pattern=r"^[0-9A-Za-z.-]+$", description="The `anthropic-version` that requests are written for."
    )
    default_max_tokens: int = Field(
        4096,
        ge=1,
        description="The most tokens of an answer where `settings.max_tokens` is not set: this API must be told.",
    )
    thinking_mode: Literal["budget", "adaptive"] | None = Field(
        None,
        description=(
            "How `settings.thinking` is asked for: with its `budget_tokens`, or `adaptive`, where the model finds its own "
            "measure. Left out: what the model is known to take, else `budget`."
        ),
    )
    prompt_cache: bool = Field(
        True,
        description=(
            "Whether the beginning that stays the same (tools, system prompt, and the conversation once it has an answer) "
            "is marked for the prompt cache. Writing to it costs a quarter more than input, reading a tenth."
        ),
    )

    @field_validator("base_url")
    @classmethod
    def _base_url_is_an_address(cls, base_url: str) -> str:
        return checked_address(base_url).removesuffix("/v1")

    @cached_property
    def reasoning(self) -> bool:
        """Whether this is one of the models that take no sampling settings and think by their own measure."""
        entry = self.entry()
        return bool(entry and entry.reasoning)


EXAMPLE = '{type: anthropic, model: claude-sonnet-4-5, api_key: "${env:ANTHROPIC_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Model]:
    """The client, which owns its connections while it is entered."""
    from victor_dsl.components.models._anthropic_client import Anthropic

    return Anthropic(config, context)
