"""A model behind any server that speaks OpenAI's `/chat/completions`: OpenAI, Azure, vLLM, Ollama, llama.cpp, gateways."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import Literal

from pydantic import Field

from victor_dsl.components.models import _tiktoken
from victor_dsl.components.models._hosted import HostedConfig
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import Model
from victor_dsl.language.served import ServedByOpenAI

_REASONING = r"(?:.*/)?(?:o[1-9]|gpt-(?:[5-9]|\d\d))(?!.*-chat)"


class Config(ServedByOpenAI, HostedConfig):
    """Answers by a server that speaks OpenAI's chat completions API.

    `base_url` is the address that `/chat/completions` is added to. `thinking` is not sent: this API measures reasoning by
    words, such as `extra_body: {reasoning_effort: low}`.
    """

    organization: str | None = Field(None, description="The organization that requests are charged to.")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None,
        description=(
            "How `max_tokens` is written. Left out: `max_completion_tokens` for OpenAI's reasoning models (o1, gpt-5 and "
            "later), which take no other, and `max_tokens` for all others."
        ),
    )
    stream_usage: bool = Field(
        True,
        description="Whether a stream is asked to end with its usage. Set it to false for servers that refuse that.",
    )
    prompt_cache_key: str | None = Field(
        None, description="A word that sends requests with a common beginning to one cache.", examples=["support"]
    )

    tokenizer: Literal["auto", "estimate", "cl100k_base", "o200k_base", "o200k_harmony"] = Field(
        "auto",
        description=(
            "How a request's tokens are counted before it is sent. `auto`: by `tiktoken` for the models that it knows, where "
            "the package is installed and its data was downloaded before, else by an estimate; `estimate`: by the "
            "estimate alone; the name of an encoding: by that, or not at all. Either way it is put right by the usage that "
            "the server reports."
        ),
    )

    def counter(self) -> Callable[[str], int] | None:
        """The tokenizer that `tokenizer` asks for."""
        if self.tokenizer == "estimate":
            return None
        if self.tokenizer == "auto":
            return _tiktoken.for_model(self.model)
        try:
            return _tiktoken.load(self.tokenizer)
        except _tiktoken.Unavailable as error:
            hint = "pip install 'victor_dsl[tiktoken]', let tiktoken load the encoding once, or write `tokenizer: estimate`"
            raise ComponentError(f"the tokenizer {self.tokenizer} cannot be used: {error}", hint=hint) from error

    @cached_property
    def reasoning(self) -> bool:
        """Whether this is one of OpenAI's reasoning models, which refuse some of the older fields."""
        entry = self.entry()
        return entry.reasoning if entry else bool(re.match(_REASONING, self.model))


EXAMPLE = '{type: openai, model: gpt-4.1-mini, api_key: "${env:OPENAI_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Model]:
    """The client, which owns its connections while it is entered."""
    from victor_dsl.components.models._openai_client import OpenAI

    return OpenAI(config, context)
