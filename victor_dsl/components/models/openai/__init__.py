"""A model behind any server that speaks OpenAI's `/chat/completions`: OpenAI, Azure, vLLM, Ollama, gateways."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator

from victor_dsl.components.hosted_models import HostedConfig, HostedModel, without_path
from victor_dsl.components.models.openai.tokenizer import token_counter
from victor_dsl.language.component import Context
from victor_dsl.language.http_config import OpenAIServerConfig
from victor_dsl.language.kinds import Model

_REASONING_MODELS = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-(?:[5-9]|\d\d))(?!.*-chat)")


class Config(OpenAIServerConfig, HostedConfig):
    """Answers by a server that speaks OpenAI's chat completions API.

    Requests go to `base_url` followed by `/chat/completions`. `thinking` is not sent, because this API expresses
    reasoning in words, such as `extra_body: {reasoning_effort: low}`. `stop` is not sent to OpenAI's reasoning models, which
    refuse it.

    With an answer that calls tools, some servers need back what they sent beside it: `reasoning_content` (DeepSeek, Kimi),
    `reasoning_details` (OpenRouter), or a call's `extra_content` (Gemini). It is kept with the answer, in sessions too, and
    goes only to the model that wrote it. Images in a tool's result go into a user's message after the results.
    """

    organization: str | None = Field(None, description="The organization that is charged for the requests.")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None,
        description=(
            "The name under which `max_tokens` is sent. The default is `max_completion_tokens` for OpenAI's reasoning models "
            "(o1, gpt-5 and later), which accept no other, and `max_tokens` for all others."
        ),
    )
    stream_usage: bool = Field(
        True,
        description="Whether to request usage at the end of a stream. Set it to false for servers that refuse that.",
    )
    prompt_cache_key: str | None = Field(
        None, description="A key that routes requests with a common prefix to the same cache.", examples=["support"]
    )
    tokenizer: Literal["auto", "estimate", "cl100k_base", "o200k_base", "o200k_harmony"] = Field(
        "auto",
        description=(
            "How to count a request's tokens before it is sent. `auto` uses `tiktoken` for the models that it supports, if "
            "the package is installed and its data was downloaded before, else an estimate. `estimate` never uses tiktoken; "
            "the name of an encoding always does. The usage that the server reports corrects the count in every case."
        ),
    )

    @field_validator("base_url", mode="after")
    @classmethod
    def _base_url_is_without_path(cls, base_url: str) -> str:
        return without_path(base_url, "/chat/completions")

    def counter(self) -> Callable[[str], int] | None:
        """The tokenizer that `tokenizer` selects."""
        return token_counter(self.tokenizer, self.model)

    @cached_property
    def reasoning(self) -> bool:
        """Whether this is one of OpenAI's reasoning models, which refuse some of the older fields."""
        return self.known.reasoning if self.known else bool(_REASONING_MODELS.match(self.model))


EXAMPLE = '{type: openai, model: gpt-4.1-mini, api_key: "${env:OPENAI_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Model]:
    """The client. It owns its connections while it is entered."""
    from victor_dsl.components.models.openai.reply import ChatAnswer
    from victor_dsl.components.models.openai.request import ChatRequest

    request = ChatRequest(
        config.model,
        max_tokens_field=config.max_tokens_field or ("max_completion_tokens" if config.reasoning else "max_tokens"),
        sampling=not config.reasoning if config.sampling is None else config.sampling,
        stops=not config.reasoning,
        prompt_cache_key=config.prompt_cache_key,
        stream_usage=config.stream_usage,
        extra_body=config.extra_body,
    )
    headers = {"OpenAI-Organization": config.organization} if config.organization else {}
    return HostedModel(
        config,
        context,
        path="/chat/completions",
        headers=headers,
        write=request.body,
        new_answer=lambda turn, prices: ChatAnswer(turn, prices, config.model),
    )
