"""A model behind any server that speaks one of OpenAI's APIs: OpenAI, Azure, vLLM, Ollama, gateways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from hashlib import blake2b
from typing import Literal, Self

from pydantic import Field, model_validator

from victor_dsl.components.hosted_models import HostedConfig, HostedModel, PromptCache
from victor_dsl.components.models.openai.prompt_cache import CacheFields
from victor_dsl.components.models.openai.tokenizer import token_counter
from victor_dsl.language.component import Context
from victor_dsl.language.config import SettingFault
from victor_dsl.language.http_config import OpenAIServerConfig
from victor_dsl.language.kinds import Model
from victor_dsl.values.settings import Settings

MOST_TOOLS = 128
"""The number of tools that OpenAI accepts in one request."""

MOST_STOPS = 4
"""The number of `stop` texts that OpenAI accepts."""

_OF_MISTRAL = re.compile(r"(mi|mini|ma|code|dev|pix)stral|pixtral|magistral", re.IGNORECASE)
_REASONING_MODELS = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-(?:[5-9]|\d\d))(?!.*-chat)")


class Config(OpenAIServerConfig, HostedConfig):
    """Answers by a server that speaks OpenAI's chat completions API, or its Responses API.

    With `api: chat`, requests go to `base_url` followed by `/chat/completions`; with `api: responses`, to `base_url` followed by
    `/responses`. Nothing is stored on the server: a request contains the whole conversation, with the encrypted reasoning of
    earlier answers.

    `stop`, `temperature`, `top_p` and penalties are not sent to OpenAI's reasoning models, which refuse them. The Responses API
    has no `stop`, `seed` and penalties. `thinking` is not sent, because these APIs have `reasoning_effort` for it.

    With an answer that calls tools, some servers need back what they sent beside it: `reasoning_content` (DeepSeek, Kimi),
    `reasoning_details` (OpenRouter), or a call's `extra_content` (Gemini). It is kept with the answer, in sessions too, and
    goes only to the model that wrote it; after another model's calls, these models get the stand-ins that they accept. With
    `api: chat`, images in a tool's result go into a user's message after the results.
    """

    api: Literal["chat", "responses"] = Field(
        "chat",
        description="Which of OpenAI's APIs the server is called by. Most other servers have only `chat`.",
    )
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
        None,
        description="A key that routes requests with a common prefix to the same cache. By default each session has one "
        "(see `prompt_cache`).",
        examples=["support"],
    )
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = Field(
        None,
        description="Requests a summary of the model's reasoning, which is streamed as its thoughts; for `api: responses`.",
    )
    tokenizer: Literal["auto", "estimate", "cl100k_base", "o200k_base", "o200k_harmony"] = Field(
        "auto",
        description=(
            "How to count a request's tokens before it is sent. `auto` uses `tiktoken` for the models that it supports, if "
            "the package is installed and its data was downloaded before, else an estimate. `estimate` never uses tiktoken; "
            "the name of an encoding always does. The usage that the server reports corrects the count in every case."
        ),
    )

    @model_validator(mode="after")
    def _summaries_need_the_responses_api(self) -> Self:
        if self.reasoning_summary is not None and self.api == "chat":
            raise ValueError("only the Responses API has `reasoning_summary`; write `api: responses`")
        return self

    def counter(self) -> Callable[[str], int] | None:
        """The tokenizer that `tokenizer` selects."""
        return token_counter(self.tokenizer, self.model)

    def setting_faults(self, settings: Settings) -> Iterator[SettingFault]:
        """What this API or OpenAI's reasoning models do not accept."""
        yield from super().setting_faults(settings)
        sampling = not self.reasoning if self.sampling is None else self.sampling
        refused = "OpenAI's reasoning models refuse it" if self.reasoning else "the model has `sampling: false`"
        reasons: dict[str, str] = {}
        if not sampling:
            reasons |= dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty"), refused)
        if self.reasoning:
            reasons["stop"] = "OpenAI's reasoning models refuse it"
        elif self.is_openai and self.api == "chat" and len(settings.stop or ()) > MOST_STOPS:
            yield SettingFault("stop", "refused", f"OpenAI accepts at most {MOST_STOPS} texts")
        if self.api == "responses":
            lacks = "the Responses API does not have it"
            reasons |= dict.fromkeys(("stop", "seed", "frequency_penalty", "presence_penalty"), lacks)
        for name, reason in reasons.items():
            if getattr(settings, name) is not None:
                yield SettingFault(name, "not sent", reason)
        if settings.thinking is not None and settings.thinking.type != "disabled":
            yield SettingFault("thinking", "not sent", "this API has `reasoning_effort` for it")
        if settings.reasoning_effort is not None and self.is_openai and not self.reasoning:
            yield SettingFault("reasoning_effort", "refused", f"{self.model} is not a reasoning model")

    def most_tools(self) -> int | None:
        """OpenAI's own limit, where the server is OpenAI's."""
        return MOST_TOOLS if self.is_openai else None

    def loads_tools(self) -> bool:
        """Whether the server loads deferred tools; the chat API cannot."""
        return self.api == "responses" and super().loads_tools()

    @model_validator(mode="after")
    def _searches_by_responses(self) -> Self:
        if self.tool_search and self.api == "chat":
            raise ValueError("'tool_search' needs `api: responses`")
        return self

    @property
    def is_openai(self) -> bool:
        """Whether the server is OpenAI's own."""
        return self.base_url.startswith("https://api.openai.com/")

    @property
    def thinks_unseen(self) -> bool:
        """Whether this is a reasoning model: these APIs do not stream its thoughts."""
        return self.reasoning

    @cached_property
    def reasoning(self) -> bool:
        """Whether this is one of OpenAI's reasoning models, which refuse some of the older fields."""
        return self.known.reasoning if self.known else bool(_REASONING_MODELS.match(self.model))


EXAMPLE = '{type: openai, model: gpt-6-luna, api_key: "${env:OPENAI_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Model]:
    """The client. It owns its connections while it is entered."""
    from victor_dsl.components.models.openai.chat_reply import ChatAnswer
    from victor_dsl.components.models.openai.chat_request import ChatRequest
    from victor_dsl.components.models.openai.responses_reply import ResponseAnswer
    from victor_dsl.components.models.openai.responses_request import ResponsesRequest

    sampling = not config.reasoning if config.sampling is None else config.sampling
    request: ChatRequest | ResponsesRequest
    answer: type[ChatAnswer | ResponseAnswer]
    if config.api == "responses":
        path, answer = "/responses", ResponseAnswer
        request = ResponsesRequest(
            config.model,
            sampling=sampling,
            reasoning=config.reasoning,
            reasoning_summary=config.reasoning_summary,
            cache_fields=_cache_fields(config),
            call_id=_short_id if config.is_openai else str,
            extra_body=config.extra_body,
        )
    else:
        path, answer = "/chat/completions", ChatAnswer
        request = ChatRequest(
            config.model,
            max_tokens_field=config.max_tokens_field or ("max_completion_tokens" if config.reasoning else "max_tokens"),
            sampling=sampling,
            stops=not config.reasoning,
            cache_fields=_cache_fields(config),
            stream_usage=config.stream_usage,
            call_id=_mistral_id if _OF_MISTRAL.search(config.model) else _short_id if config.is_openai else str,
            extra_body=config.extra_body,
        )
    return HostedModel(
        config,
        context,
        path=path,
        headers={"OpenAI-Organization": config.organization} if config.organization else {},
        write=request.body,
        new_answer=lambda turn, prices: answer(turn, prices, config.model),
    )


def _short_id(id: str) -> str:
    """The id as OpenAI accepts it. Gateways write a signature of the model's thoughts into theirs."""
    return id if len(id) <= 40 else f"call_{_digest(id, 16)}"


def _mistral_id(id: str) -> str:
    """The id as Mistral's models accept it: nine letters and digits."""
    return id if re.fullmatch("[a-zA-Z0-9]{9}", id) else _digest(id, 5)[:9]


def _digest(id: str, size: int) -> str:
    return blake2b(id.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def _cache_fields(config: Config) -> CacheFields:
    """Other servers get these fields only where the spec asks for them, since many refuse what they do not know."""
    cache = config.prompt_cache
    is_used = bool(cache) and ("prompt_cache" in config.model_fields_set or config.is_openai)
    is_long = isinstance(cache, PromptCache) and cache.ttl == "1h"
    return CacheFields(config.prompt_cache_key, per_session=is_used, retention="24h" if is_used and is_long else None)
