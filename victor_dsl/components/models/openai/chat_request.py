"""A turn as the body of a chat completions request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from victor_dsl.components.api_tools import (
    TOOL_CHOICES,
    CallIds,
    ToolDefinitions,
    chosen_tool,
    object_arguments,
    object_schema,
)
from victor_dsl.components.foreign_parts import chat_part
from victor_dsl.components.models.openai.prompt_cache import CacheFields
from victor_dsl.errors import RequestError
from victor_dsl.values.chat_format import CONTENT_BLOCKS, RESPONSE_ITEMS
from victor_dsl.values.message import Message, Part, ToolCall
from victor_dsl.values.tool import Tool, api_tool_name
from victor_dsl.values.turn import Turn

_THOUGHTS = ("thinking", "redacted_thinking")
_WANTS_SIGNATURES = re.compile(r"gemini-(?:[3-9]|\d\d)", re.IGNORECASE)
_WANTS_THOUGHTS = re.compile(r"deepseek|kimi", re.IGNORECASE)
_SEE_BELOW = "(The result is in the user's next message.)"


@frozen
class ChatRequest:
    """Writes requests to one model.

    `sampling` says whether it accepts `temperature`, `top_p` and penalties, `stops` whether it accepts `stop`. `call_id` writes
    the id of a call as the server accepts it.
    """

    model: str
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"]
    sampling: bool
    stops: bool
    cache_fields: CacheFields
    stream_usage: bool
    call_id: Callable[[str], str]
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
        body.update(self._settings(turn))
        if turn.streaming:
            body["stream"] = True
            if self.stream_usage:
                body["stream_options"] = {"include_usage": True}
        body.update(self.extra_body)
        return body

    def _settings(self, turn: Turn) -> dict[str, Any]:
        settings = turn.settings
        values: dict[str, Any] = {
            self.max_tokens_field: settings.max_tokens,
            "stop": list(settings.stop) if settings.stop and self.stops else None,
            "seed": settings.seed,
            "response_format": settings.response_format,
            "reasoning_effort": settings.reasoning_effort,
            **self.cache_fields.of(turn),
        }
        if self.sampling:
            values["temperature"], values["top_p"] = settings.temperature, settings.top_p
            values["frequency_penalty"] = settings.frequency_penalty
            values["presence_penalty"] = settings.presence_penalty
        choice = chosen_tool(turn)
        if choice in ("auto", "none") and _WANTS_THOUGHTS.search(self.model):
            choice = None  # these models refuse the field while they think
        if choice:
            is_name = choice not in TOOL_CHOICES
            values["tool_choice"] = {"type": "function", "function": {"name": choice}} if is_name else choice
        if turn.tools:
            values["parallel_tool_calls"] = settings.parallel_tool_calls
        return {name: value for name, value in values.items() if value is not None}

    def _messages(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """The messages. Images and files of tools' results go into a user's message after the results."""
        written: list[dict[str, Any]] = []
        from_tools: list[Part] = []
        ids = CallIds(self.call_id)
        for message in messages:
            if from_tools and message.role != "tool":
                written.append({"role": "user", "content": from_tools})
                from_tools = []
            if message.role == "tool":
                content: Any = message.content or ""
                if not isinstance(content, str):
                    from_tools += [part for part in _visible(content) if part.get("type") != "text"]
                    content = message.text() or (_SEE_BELOW if from_tools else "")
                written.append(
                    {"role": "tool", "content": content, "tool_call_id": ids.of_result(message.tool_call_id or "")}
                )
            else:
                written.append(self._message(message, ids))
        if from_tools:
            written.append({"role": "user", "content": from_tools})
        return written

    def _message(self, message: Message, ids: CallIds) -> dict[str, Any]:
        written: dict[str, Any] = {"role": message.role, "content": _content(message)}
        if message.tool_calls:
            ids.next_answer()
            written["tool_calls"] = [self._call(call, message, ids) for call in message.tool_calls]
        if message.extra and self._owns(message):
            written.update(
                {key: value for key, value in message.extra.items() if key not in (RESPONSE_ITEMS, CONTENT_BLOCKS)}
            )
        if message.tool_calls:
            self._fill_in(written)
        if message.name is not None:
            written["name"] = api_tool_name(message.name)
        return written

    def _call(self, call: ToolCall, message: Message, ids: CallIds) -> dict[str, Any]:
        extra = call.extra if self._owns(message) else None
        sent = ToolCall(ids.of_call(call.id), api_tool_name(call.name), object_arguments(call.arguments), extra)
        return {**sent.as_json(), "id": sent.id}

    def _fill_in(self, written: dict[str, Any]) -> None:
        """Adds what the model requires beside calls, and lacks where another model made them. Gemini names this stand-in."""
        first = written["tool_calls"][0]
        if _WANTS_SIGNATURES.search(self.model):
            first.setdefault("extra_content", {"google": {"thought_signature": "skip_thought_signature_validator"}})
        elif _WANTS_THOUGHTS.search(self.model):
            written.setdefault("reasoning_content", " ")

    def _owns(self, message: Message) -> bool:
        """Whether the message's further fields go to this model: those that it wrote, or a caller with a tool call."""
        if message.written_by is None:
            return bool(message.tool_calls)
        return message.written_by == self.model


def _content(message: Message) -> Any:
    content = message.content
    if content is None:
        return None if message.tool_calls else ""
    if isinstance(content, str):
        return content
    # Many servers accept an assistant's text only as a string.
    parts = _visible(content)
    if not parts or (message.role != "user" and all(part.get("type") == "text" for part in parts)):
        return "\n".join(part["text"] for part in parts)
    return parts


def _visible(content: Iterable[Part]) -> list[Part]:
    """The parts without thoughts, which belong to another provider, and without marks for its prompt cache."""
    return [
        {key: value for key, value in part.items() if key != "cache_control"} if "cache_control" in part else part
        for part in map(chat_part, content)
        if part.get("type") not in _THOUGHTS
    ]


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": api_tool_name(tool.name), "parameters": object_schema(tool.parameters)}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}
