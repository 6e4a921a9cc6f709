"""A turn as the body of a chat completions request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import orjson
from attrs import field, frozen

from victor_dsl.components.hosted_models import ToolDefinitions, api_tool_name, object_schema
from victor_dsl.errors import RequestError
from victor_dsl.transport.json_values import join_surrogates, parse_json
from victor_dsl.values.chat_format import call_to_json
from victor_dsl.values.message import Message, Part, ToolCall
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

_THOUGHTS = ("thinking", "redacted_thinking")
_SEE_BELOW = "(The result is in the user's next message.)"


@frozen
class ChatRequest:
    """Writes requests to one model.

    `sampling` says whether it accepts `temperature` and `top_p`, `stops` whether it accepts `stop`.
    """

    model: str
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"]
    sampling: bool
    stops: bool
    prompt_cache_key: str | None
    stream_usage: bool
    extra_body: Mapping[str, Any]
    _tools: ToolDefinitions = field(init=False, factory=lambda: ToolDefinitions(_tool))

    def body(self, turn: Turn) -> dict[str, Any]:
        """The request's body. What stays the same from turn to turn comes first, as prompt caches need it.

        Raises RequestError.
        """
        if not turn.messages and not turn.system:
            raise RequestError("the request has no messages")
        body: dict[str, Any] = {"model": self.model}
        if turn.tools:
            body["tools"] = self._tools.of(turn.tools)
        messages: list[dict[str, Any]] = [{"role": "system", "content": turn.system}] if turn.system else []
        messages.extend(self._messages(turn.messages))
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
            "stop": list(settings.stop) if settings.stop and self.stops else None,
            "seed": settings.seed,
            "response_format": settings.response_format,
            "prompt_cache_key": self.prompt_cache_key,
        }
        return {name: value for name, value in values.items() if value is not None}

    def _messages(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """The messages. Images and files of tools' results go into a user's message after the results."""
        written: list[dict[str, Any]] = []
        from_tools: list[Part] = []
        for message in messages:
            if from_tools and message.role != "tool":
                written.append({"role": "user", "content": from_tools})
                from_tools = []
            if message.role == "tool" and not message.is_text():
                parts = [part for part in message.content or () if isinstance(part, Mapping)]
                from_tools += [part for part in parts if part.get("type") not in ("text", *_THOUGHTS)]
                text = message.text() or _SEE_BELOW
                written.append({"role": "tool", "content": text, "tool_call_id": message.tool_call_id})
            else:
                written.append(self._message(message))
        if from_tools:
            written.append({"role": "user", "content": from_tools})
        return written

    def _message(self, message: Message) -> dict[str, Any]:
        content = message.content
        written: dict[str, Any] = {
            "role": message.role,
            "content": content if isinstance(content, str) else _parts(content, message),
        }
        if message.tool_calls:
            written["tool_calls"] = [
                call_to_json(call if self._owns(message) else _bare(call), api_tool_name(call.name), _arguments(call))
                for call in message.tool_calls
            ]
        if message.extra and self._owns(message):
            written.update(message.extra)
        if message.role == "tool":
            written["tool_call_id"] = message.tool_call_id
        elif message.name is not None:
            written["name"] = api_tool_name(message.name)
        return written

    def _owns(self, message: Message) -> bool:
        """Whether the message's further fields go to this model: those that it wrote, or a caller with a tool call."""
        if message.written_by is None:
            return bool(message.tool_calls)
        return message.written_by == self.model


def _bare(call: ToolCall) -> ToolCall:
    return ToolCall(call.id, call.name, call.arguments) if call.extra else call


def _arguments(call: ToolCall) -> str:
    """The call's arguments. Many servers parse those of earlier calls, and refuse the request if they are not an object."""
    if isinstance(parse_json(call.arguments.encode("utf-8", "replace")), dict):
        return call.arguments
    return orjson.dumps({"arguments": join_surrogates(call.arguments)} if call.arguments.strip() else {}).decode()


def _parts(content: tuple[Part, ...] | None, message: Message) -> str | list[Part] | None:
    if content is None:
        return None if message.tool_calls else ""
    # Thoughts belong to another provider. Many servers accept an assistant's text only as a string.
    parts = [part for part in content if part.get("type") not in _THOUGHTS]
    if message.role != "user" and all(part.get("type") == "text" for part in parts):
        return message.text()
    return parts


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": api_tool_name(tool.name), "parameters": object_schema(tool.parameters)}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}
