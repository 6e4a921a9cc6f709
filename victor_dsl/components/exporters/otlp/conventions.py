"""The names of OpenTelemetry's conventions for generative AI, and which of them an event's data has.

They are those of https://github.com/open-telemetry/semantic-conventions-genai at COMMITS. All of them have the status Development
there, so that a later commit may rename them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from victor_dsl.values.event import Event

COMMITS: Mapping[str, str] = {
    "docs/gen-ai/client-inference.md": "024a4f94",
    "docs/gen-ai/gen-ai-token-metrics.md": "066d4a7f",
    "docs/gen-ai/gen-ai-metrics.md": "004902b8",
    "docs/gen-ai/gen-ai-agent-spans.md": "7e7e4e76",
    "model/gen-ai/events.yaml": "03870916",
}
"""The versions that the names were read in, by file. Bounds of token counters and of the first chunk's time are those of the older metrics."""

Semconv = Literal["latest", "stable"]
"""`latest`: the names at COMMITS; `stable`: those before token counters, which back ends have known for longer."""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
ERROR = "error.type"
AGENT = "gen_ai.agent.name"
TOOL = "gen_ai.tool.name"
CONVERSATION = "gen_ai.conversation.id"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - the name of an attribute
MODALITY = "gen_ai.token.modality"

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The bounds for the durations of calls of models and tools, and for the time to the first chunk."""
AGENT_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6)
"""The bounds for the durations of turns."""
TOKENS = tuple(4**power for power in range(14))
"""The bounds for numbers of tokens: 1, 4, 16, … 67,108,864."""


@frozen
class Names:
    """The names that depend on `semconv`."""

    usage: Mapping[str, str]
    """The attributes of spans for counts of tokens, by the field of an event's data."""
    duration: str
    first_chunk: str
    counters: Mapping[str, str]
    """The counters of tokens, by field."""
    histograms: Mapping[str, tuple[str, str | None]]
    """The histograms of tokens, by field: the name, and the `gen_ai.token.type` where one histogram has several fields."""


_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}

NAMES: Mapping[Semconv, Names] = {
    "latest": Names(
        usage=_USAGE,
        duration="gen_ai.client.inference.duration",
        first_chunk="gen_ai.client.inference.time_to_first_chunk",
        counters={field: name.replace("gen_ai.", "gen_ai.client.inference.", 1) for field, name in _USAGE.items()},
        histograms={
            "input_tokens": ("gen_ai.client.inference.operation.input_tokens", None),
            "output_tokens": ("gen_ai.client.inference.operation.output_tokens", None),
        },
    ),
    "stable": Names(
        usage={**_USAGE, "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens"},
        duration="gen_ai.client.operation.duration",
        first_chunk="gen_ai.client.operation.time_to_first_chunk",
        counters={},
        histograms={
            "input_tokens": ("gen_ai.client.token.usage", "input"),
            "output_tokens": ("gen_ai.client.token.usage", "output"),
        },
    ),
}


def model_attributes(event: Event) -> dict[str, object]:
    """What identifies the model of a `model_call`: on its span and in its metrics."""
    data = event.data
    attributes: dict[str, object] = {
        OPERATION: "chat",
        PROVIDER: data.get("provider") or "victor_dsl",  # the models that come with it, such as `scripted`
        REQUEST_MODEL: data.get("request_model") or data["model"],
        RESPONSE_MODEL: data.get("response_model"),
    }
    return attributes


def error_of(event: Event) -> str | None:
    """The `error.type` of an operation; None where it is not an error, as where a rule of the spec refused a turn."""
    error = event.data.get("error")
    if event.type == "turn" and event.data["outcome"] not in ("failed", "interrupted"):
        return None
    return None if error is None else str(error)
