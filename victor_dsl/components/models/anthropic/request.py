"""A turn as the body of a messages request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from victor_dsl.components.hosted_models import Unsupported, api_tool_name
from victor_dsl.components.models.anthropic.messages import Block, write_messages
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

_CACHE_CONTROL = {"type": "ephemeral"}


@frozen
class MessageRequest:
    """Writes requests to one model. `sampling` says whether it accepts `temperature` and `top_p`."""

    model: str
    default_max_tokens: int
    sampling: bool
    thinking_mode: Literal["budget", "adaptive"]
    prompt_cache: bool
    extra_body: Mapping[str, Any]

    def body(self, turn: Turn) -> dict[str, Any]:
        """The request's body, with marks for the prompt cache. Raises Unsupported.

        The conversation is marked only after its first answer: caching a single question costs money, and nothing
        would read it.
        """
        body: dict[str, Any] = {"model": self.model}
        tools = [_tool(tool) for tool in turn.tools]
        messages = write_messages(turn.messages)
        if tools:
            body["tools"] = tools
        if turn.system:
            body["system"] = [{"type": "text", "text": turn.system}]
        body["messages"] = messages
        if self.prompt_cache:
            if tools:
                tools[-1]["cache_control"] = _CACHE_CONTROL
            if turn.system:
                body["system"][-1]["cache_control"] = _CACHE_CONTROL
            if any(message["role"] == "assistant" for message in messages):
                _mark_last(messages[-1]["content"])
        body.update(self._settings(turn.settings))
        if turn.streaming:
            body["stream"] = True
        body.update(self.extra_body)
        return body

    def _settings(self, settings: Settings) -> dict[str, Any]:
        values: dict[str, Any] = {"max_tokens": settings.max_tokens or self.default_max_tokens}
        if settings.thinking is not None:
            values.update(self._thinking(settings, settings.thinking.budget_tokens))
        elif self.sampling:  # the API refuses sampling settings together with thinking
            if settings.temperature is not None:
                values["temperature"] = min(settings.temperature, 1.0)
            if settings.top_p is not None:
                values["top_p"] = settings.top_p
        if settings.stop:
            values["stop_sequences"] = list(settings.stop)
        if settings.response_format and settings.response_format.get("type") != "text":
            values["output_config"] = {"format": _format(settings.response_format)}
        return values

    def _thinking(self, settings: Settings, budget: int) -> dict[str, Any]:
        if self.thinking_mode == "adaptive":
            return {"thinking": {"type": "adaptive"}}
        thinking = {"type": "enabled", "budget_tokens": budget}
        if settings.max_tokens is None:
            return {"thinking": thinking, "max_tokens": self.default_max_tokens + budget}
        if budget >= settings.max_tokens:
            raise Unsupported(
                f"thinking.budget_tokens ({budget}) must be less than max_tokens ({settings.max_tokens}), "
                "which covers the thoughts and the answer"
            )
        return {"thinking": thinking}


def _format(response_format: Mapping[str, Any]) -> dict[str, Any]:
    schema = response_format.get("json_schema")
    if response_format.get("type") != "json_schema" or not isinstance(schema, dict) or "schema" not in schema:
        kind = response_format.get("type")
        raise Unsupported(f"this API has no response_format '{kind}'; it supports `json_schema` with a schema")
    return {"type": "json_schema", "schema": schema["schema"]}


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": api_tool_name(tool.name), "input_schema": tool.parameters}
    if tool.description:
        written["description"] = tool.description
    return written


def _mark_last(blocks: list[Block]) -> None:
    """Marks the last block that may be marked: the API refuses the mark on thoughts."""
    for block in reversed(blocks):
        if block["type"] not in ("thinking", "redacted_thinking"):
            block["cache_control"] = _CACHE_CONTROL
            return
