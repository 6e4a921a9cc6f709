"""Claude, or another model behind a server that speaks Anthropic's `/v1/messages`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from victor_dsl.components.hosted_models import HostedConfig, HostedModel, PromptCache
from victor_dsl.components.models.anthropic import accepted
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret, SettingFault
from victor_dsl.language.kinds import Model
from victor_dsl.values.settings import Settings


class Config(HostedConfig):
    """Answers by a server that speaks Anthropic's messages API.

    This API has no `seed` and no penalties, so none are sent. A `temperature` above 1 is sent as 1, the API's maximum. The only
    `response_format` is `json_schema`. An answer that the server pauses (`pause_turn`) is continued. A thinking budget below
    1,024 tokens, the API's minimum, is sent as 1,024. `thinking` is left out where the API refuses it: where `tool_choice`
    requires a tool, and in a call that follows the results of tools which another model called without thoughts.
    """

    api_name: ClassVar[str] = "anthropic"
    base_url: str = Field(
        "https://api.anthropic.com",
        description="The address that `/v1/messages` is appended to; it may end with `/v1`.",
        examples=["http://127.0.0.1:4000"],
    )
    api_key: Secret = Field(description="The API key.", examples=["${env:ANTHROPIC_API_KEY}"])
    api_key_header: str = Field(
        "x-api-key",
        pattern=r"^[A-Za-z][A-Za-z0-9-]*$",
        description="The header that carries the key: as a bearer token in `Authorization`, unchanged in any other.",
        examples=["Authorization"],
    )
    version: str = Field(
        "2023-06-01", pattern=r"^[0-9A-Za-z.-]+$", description="The `anthropic-version` of every request."
    )
    default_max_tokens: int = Field(
        4096,
        ge=1,
        description="The limit on an answer's tokens when `settings.max_tokens` is not set. The API requires one.",
    )
    thinking_mode: Literal["budget", "adaptive"] | None = Field(
        None,
        description=(
            "How the model accepts `settings.thinking`: as a `budget` of tokens, or as `adaptive`, where it decides itself how "
            "much to think. By default thinking is sent as the setting writes it, but as `adaptive` to models that are known "
            "to accept nothing else."
        ),
    )

    @field_validator("base_url", mode="after")
    @classmethod
    def _base_url_is_without_version(cls, base_url: str) -> str:
        return base_url.removesuffix("/v1")

    @cached_property
    def reasoning(self) -> bool:
        """Whether the model refuses sampling settings and decides itself how much to think."""
        return bool(self.known and self.known.reasoning)

    @cached_property
    def one_sampling(self) -> bool:
        """Whether the model refuses `temperature` and `top_p` together."""
        return bool(self.known and self.known.one_sampling)

    @property
    def accepted_thinking(self) -> Literal["budget", "adaptive"] | None:
        """How the model accepts `settings.thinking`, or None where that is in both ways."""
        return self.thinking_mode or ("adaptive" if self.reasoning else None)

    def setting_faults(self, settings: Settings) -> Iterator[SettingFault]:
        """What this API, or the model, does not accept."""
        yield from super().setting_faults(settings)
        refused = None
        if self.sampling is False or (self.sampling is None and self.reasoning):
            refused = "the model refuses it" if self.reasoning else "the model has `sampling: false`"
        yield from accepted.sampling_faults(settings, refused=refused, one=self.one_sampling)
        yield from accepted.thinking_faults(settings, mode=self.accepted_thinking)
        yield from accepted.other_faults(settings)


EXAMPLE = '{type: anthropic, model: claude-sonnet-5-5, api_key: "${env:ANTHROPIC_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Model]:
    """The client. It owns its connections while it is entered."""
    from victor_dsl.components.models.anthropic.reply import MessageAnswer
    from victor_dsl.components.models.anthropic.request import MessageRequest

    request = MessageRequest(
        config.model,
        default_max_tokens=config.default_max_tokens,
        sampling=not config.reasoning if config.sampling is None else config.sampling,
        both=not config.one_sampling,
        thinking_mode=config.accepted_thinking,
        cache=_mark(config.prompt_cache),
        extra_body=config.extra_body,
    )
    headers = {"anthropic-version": config.version}
    return HostedModel(
        config,
        context,
        path="/v1/messages",
        headers=headers,
        write=request.body,
        new_answer=lambda turn, prices: MessageAnswer(turn, prices, config.model),
    )


def _mark(cache: bool | PromptCache) -> dict[str, str] | None:
    if not cache:
        return None
    is_long = isinstance(cache, PromptCache) and cache.ttl == "1h"
    return {"type": "ephemeral", "ttl": "1h"} if is_long else {"type": "ephemeral"}
