"""A turn as the body of a chat completions request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from victor_dsl.components.models._hosted import merged
from victor_dsl.components.models._tool_names import sent
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.models.openai import Config

_THOUGHTS = ("thinking", "redacted_thinking")


def body(turn: Turn, config: Config) -> dict[str, Any]:
    """The request: what stays the same from turn to turn comes first, which is what prompt caches need."""
    asked: dict[str, Any] = {"model": config.model}
    if turn.tools:
        asked["tools"] = [_tool(tool) for tool in turn.tools]
    messages: list[dict[str, Any]] = [{"role": "system", "content": turn.system}] if turn.system else []
    messages.extend(_message(message) for message in turn.messages)
    asked["messages"] = messages
    asked.update(_settings(turn.settings, config))
    if turn.streaming:
        asked["stream"] = True
        if config.stream_usage:
            asked["stream_options"] = {"include_usage": True}
    return merged(asked, config.extra_body)


def _settings(settings: Settings, config: Config) -> dict[str, Any]:
    reasoning = config.reasoning
    tokens_field = config.max_tokens_field or ("max_completion_tokens" if reasoning else "max_tokens")
    sampling = not reasoning if config.sampling is None else config.sampling
    values = {
        "temperature": settings.temperature if sampling else None,
        "top_p": settings.top_p if sampling else None,
        tokens_field: settings.max_tokens,
        "stop": list(settings.stop) if settings.stop else None,
        "seed": settings.seed,
        "response_format": settings.response_format,
        "prompt_cache_key": config.prompt_cache_key,
    }
    return {name: value for name, value in values.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        written["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": sent(call.name), "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        written["tool_call_id"] = message.tool_call_id
    elif message.name is not None:
        written["name"] = sent(message.name)
    return written


def _content(message: Message) -> str | list[Mapping[str, Any]] | None:
    content = message.content
    if content is None:
        return None if message.tool_calls else ""
    if isinstance(content, str):
        return content
    # Thoughts are another provider's, kept for it alone; many servers take an assistant's text only as plain text.
    parts = [part for part in content if part.get("type") not in _THOUGHTS]
    if message.role != "user" and all(part.get("type") == "text" for part in parts):
        return message.text()
    return parts


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": sent(tool.name), "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}
