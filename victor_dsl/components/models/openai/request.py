"""A turn as the body of a chat completions request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import frozen

from victor_dsl.components.hosted_models import api_tool_name
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

_THOUGHTS = ("thinking", "redacted_thinking")


@frozen
class ChatRequest:
    """Writes requests to one model. `sampling` says whether it accepts `temperature` and `top_p`."""

    model: str
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"]
    sampling: bool
    prompt_cache_key: str | None
    stream_usage: bool
    extra_body: Mapping[str, Any]

    def body(self, turn: Turn) -> dict[str, Any]:
        """The request's body. What stays the same from turn to turn comes first, as prompt caches need it."""
        body: dict[str, Any] = {"model": self.model}
        if turn.tools:
            body["tools"] = [_tool(tool) for tool in turn.tools]
        messages: list[dict[str, Any]] = [{"role": "system", "content": turn.system}] if turn.system else []
        messages.extend(map(_message, turn.messages))
        body["messages"] = messages
        body.update(self._settings(turn.settings))
        if turn.streaming:
            body["stream"] = True
            if self.stream_usage:
                body["stream_options"] = {"include_usage": True}
        body.update(self.extra_body)
        return body

    def _settings(self, settings: Settings) -> dict[str, Any]:
        values = {
            "temperature": settings.temperature if self.sampling else None,
            "top_p": settings.top_p if self.sampling else None,
            self.max_tokens_field: settings.max_tokens,
            "stop": list(settings.stop) if settings.stop else None,
            "seed": settings.seed,
            "response_format": settings.response_format,
            "prompt_cache_key": self.prompt_cache_key,
        }
        return {name: value for name, value in values.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.tool_calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": api_tool_name(call.name), "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        written["tool_call_id"] = message.tool_call_id
    elif message.name is not None:
        written["name"] = api_tool_name(message.name)
    return written


def _content(message: Message) -> str | list[Mapping[str, Any]] | None:
    content = message.content
    if content is None:
        return None if message.tool_calls else ""
    if isinstance(content, str):
        return content
    # Thoughts belong to another provider. Many servers accept an assistant's text only as a string.
    parts = [part for part in content if part.get("type") not in _THOUGHTS]
    if message.role != "user" and all(part.get("type") == "text" for part in parts):
        return message.text()
    return parts


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": api_tool_name(tool.name), "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}
