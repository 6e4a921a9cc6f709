"""A turn as the body of a request of the Responses API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

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
from victor_dsl.components.hosted_models import Unsupported
from victor_dsl.components.models.openai.prompt_cache import CacheFields
from victor_dsl.components.models.openai.responses_reply import SEARCHES, call_ids, items_text
from victor_dsl.errors import RequestError
from victor_dsl.transport.json_values import Malformed
from victor_dsl.values.chat_format import RESPONSE_ITEMS
from victor_dsl.values.message import Message, Part
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool, api_tool_name
from victor_dsl.values.turn import Turn

Item = dict[str, Any]


@frozen
class ResponsesRequest:
    """Writes requests to one model.

    `sampling` says whether it accepts `temperature` and `top_p`. A `reasoning` model returns its reasoning encrypted, so that
    it can go back with the next request. `call_id` writes the id of a call as the server accepts it.
    """

    model: str
    sampling: bool
    reasoning: bool
    reasoning_summary: str | None
    cache_fields: CacheFields
    call_id: Callable[[str], str]
    extra_body: Mapping[str, Any]
    _tools: ToolDefinitions = field(init=False, factory=lambda: ToolDefinitions(_tool))
    _deferred: ToolDefinitions = field(init=False, factory=lambda: ToolDefinitions(_deferred_tool))

    def body(self, turn: Turn) -> dict[str, Any]:
        """The request's body. What stays the same from turn to turn comes first, as prompt caches need it.

        Raises Unsupported and RequestError.
        """
        if not turn.messages and not turn.system:
            raise RequestError("the request has no messages")
        body: dict[str, Any] = {"model": self.model, "store": False}
        if turn.tools:
            body["tools"] = self._tools.of(turn.tools)
        if turn.deferred is not None:
            body["tools"] = [
                *self._tools.of(turn.tools),
                *self._deferred.of(turn.deferred.tools),
                {"type": "tool_search"},
            ]
        if turn.system:
            body["instructions"] = turn.system
        items = self._input(turn.messages)
        body["input"] = items if turn.deferred is not None else [it for it in items if it.get("type") not in SEARCHES]
        body.update(self._settings(turn))
        if turn.streaming:
            body["stream"] = True
        body.update(self.extra_body)
        return body

    def _settings(self, turn: Turn) -> dict[str, Any]:
        settings = turn.settings
        reasoning = {"effort": settings.reasoning_effort, "summary": self.reasoning_summary}
        values: dict[str, Any] = {
            "temperature": settings.temperature if self.sampling else None,
            "top_p": settings.top_p if self.sampling else None,
            "max_output_tokens": settings.max_tokens,
            "reasoning": {name: value for name, value in reasoning.items() if value is not None} or None,
            "text": _text_config(settings),
            **self.cache_fields.of(turn),
        }
        if self.reasoning or values["reasoning"]:
            values["include"] = ["reasoning.encrypted_content"]
        offering = turn.replace(tools=tuple(turn.callable_tools().values()))
        if choice := chosen_tool(offering):
            values["tool_choice"] = choice if choice in TOOL_CHOICES else {"type": "function", "name": choice}
        if offering.tools:
            values["parallel_tool_calls"] = settings.parallel_tool_calls
        return {name: value for name, value in values.items() if value is not None}

    def _input(self, messages: Iterable[Message]) -> list[Item]:
        items: list[Item] = []
        ids = CallIds(self.call_id)
        for message in messages:
            if message.role == "tool":
                id = ids.of_result(message.tool_call_id or "")
                items.append({"type": "function_call_output", "call_id": id, "output": _output(message)})
            elif message.role == "assistant":
                items += self._answer(message, ids)
            else:
                items.append({"role": message.role, "content": _content(message)})
        return items

    def _answer(self, message: Message, ids: CallIds) -> list[Item]:
        """The items of an answer: those of this model as it wrote them, if the message was not changed since."""
        if message.tool_calls:
            ids.next_answer()
        new_ids = [ids.of_call(call.id) for call in message.tool_calls]
        if (own := self._own_items(message)) is not None and new_ids == call_ids(own):
            return own
        items: list[Item] = []
        if text := message.text():
            items.append({"role": "assistant", "content": text})
        for call, id in zip(message.tool_calls, new_ids, strict=True):
            arguments = object_arguments(call.arguments)
            items.append(
                {"type": "function_call", "call_id": id, "name": api_tool_name(call.name), "arguments": arguments}
            )
        return items

    def _own_items(self, message: Message) -> list[Item] | None:
        """The items that this model wrote, if they are still those of the message. A caller may have written anything."""
        items = (message.extra or {}).get(RESPONSE_ITEMS)
        if message.written_by not in (None, self.model) or not isinstance(items, list):
            return None
        try:
            if items_text(items) != message.text() or not all(map(_is_of_an_answer, items)):
                return None
        except Malformed:
            return None
        return [
            {**item, "arguments": object_arguments(item["arguments"])} if item["type"] == "function_call" else item
            for item in items
        ]


def _is_of_an_answer(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    if item.get("type") == "function_call":
        return isinstance(item.get("arguments"), str)
    return isinstance(item.get("type"), str) and item.get("role", "assistant") == "assistant"


def _text_config(settings: Settings) -> dict[str, Any] | None:
    shape = settings.response_format
    if shape is None or shape.get("type") == "text":
        return None
    schema = shape.get("json_schema")
    return {"format": {"type": "json_schema", **schema} if isinstance(schema, Mapping) else shape}


def _content(message: Message) -> str | list[Item]:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return [_part(part) for part in message.content] or ""


def _output(message: Message) -> str | list[Item]:
    return message.text() if message.is_text() else _content(message)


def _part(part: Part) -> Item:
    """A part as the API writes it. A part whose type the chat format does not have is passed on."""
    part = chat_part(part)
    match part.get("type"):
        case "text":
            return {"type": "input_text", "text": str(part.get("text") or "")}
        case "image_url":
            image = part.get("image_url")
            image = image if isinstance(image, Mapping) else {"url": image}
            return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
        case "file":
            file = part.get("file")
            return {"type": "input_file", **file} if isinstance(file, Mapping) else {"type": "input_file"}
        case "input_audio" | "refusal" | "thinking" | "redacted_thinking" as kind:
            raise Unsupported(f"a message has a part of type '{kind}', which this API does not support")
        case _:
            return dict(part)


def _tool(tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {
        "type": "function",
        "name": api_tool_name(tool.name),
        "parameters": object_schema(tool.parameters),
        "strict": False,  # by default this API makes every parameter required
    }
    if tool.description:
        written["description"] = tool.description
    return written


def _deferred_tool(tool: Tool) -> dict[str, Any]:
    return {**_tool(tool), "defer_loading": True}
