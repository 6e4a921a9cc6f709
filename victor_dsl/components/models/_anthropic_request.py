"""A turn as the body of a messages request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from victor_dsl.components.models._anthropic_messages import Unsupported, messages
from victor_dsl.components.models._hosted import merged
from victor_dsl.components.models._tool_names import sent
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.models.anthropic import Config

_MARK = {"type": "ephemeral"}


def body(turn: Turn, config: Config) -> dict[str, Any]:
    """The request, marked for the prompt cache at the ends of what stays the same. Raises Unsupported.

    The conversation is marked only once it has an answer in it: a single question would pay for writing to a cache
    that nobody reads.
    """
    asked: dict[str, Any] = {"model": config.model}
    tools = [_tool(tool) for tool in turn.tools]
    conversation = messages(turn.messages)
    if tools:
        asked["tools"] = tools
    if turn.system:
        asked["system"] = [{"type": "text", "text": turn.system}]
    asked["messages"] = conversation
    if config.prompt_cache:
        if tools:
            tools[-1]["cache_control"] = _MARK
        if turn.system:
            asked["system"][-1]["cache_control"] = _MARK
        if any(message["role"] == "assistant" for message in conversation):
            _mark_last(conversation[-1]["content"])
    asked.update(_settings(turn.settings, config))
    if turn.streaming:
        asked["stream"] = True
    return merged(asked, config.extra_body)


def _settings(settings: Settings, config: Config) -> dict[str, Any]:
    values: dict[str, Any] = {"max_tokens": settings.max_tokens or config.default_max_tokens}
    sampling = not config.reasoning if config.sampling is None else config.sampling
    if settings.thinking is not None:
        sampling = False  # the API takes no sampling settings together with thinking
        mode = config.thinking_mode or ("adaptive" if config.reasoning else "budget")
        if mode == "adaptive":
            values["thinking"] = {"type": "adaptive"}
        else:
            budget = settings.thinking.budget_tokens
            if settings.max_tokens is None:
                values["max_tokens"] += budget
            elif budget >= settings.max_tokens:
                raise Unsupported(
                    f"thinking.budget_tokens ({budget}) must be less than max_tokens ({settings.max_tokens}), "
                    "which holds the thoughts and the answer"
                )
            values["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if sampling and settings.temperature is not None:
        values["temperature"] = min(settings.temperature, 1.0)
    if sampling and settings.top_p is not None:
        values["top_p"] = settings.top_p
    if settings.stop:
        values["stop_sequences"] = list(settings.stop)
    if settings.response_format and settings.response_format.get("type") != "text":
        values["output_config"] = {"format": _format(dict(settings.response_format))}
    return values


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    schema = wanted.get("json_schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict) or "schema" not in schema:
        raise Unsupported(
            f"response_format '{wanted.get('type')}' cannot be had from this API; it knows `json_schema` with a schema"
        )
    return {"type": "json_schema", "schema": schema["schema"]}


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": sent(tool.name), "input_schema": tool.parameters}
    if tool.description:
        written["description"] = tool.description
    return written


def _mark_last(blocks: list[dict[str, Any]]) -> None:
    """Marks the last block that can be; thoughts cannot."""
    for block in reversed(blocks):
        if block["type"] not in ("thinking", "redacted_thinking"):
            block["cache_control"] = _MARK
            return
