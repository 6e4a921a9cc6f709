"""A turn as the body of a messages request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from victor_dsl.components.hosted_models import ToolDefinitions, Unsupported, api_tool_name, object_schema
from victor_dsl.errors import RequestError
from victor_dsl.transport.json_values import parse_json
from victor_dsl.values.message import Message, Part, ToolCall
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

EMPTY = "(empty)"
"""Replaces empty text: the API refuses empty blocks and messages."""

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_CACHE_CONTROL = {"type": "ephemeral"}

Block = dict[str, Any]


@frozen
class MessageRequest:
    """Writes requests to one model. `sampling` says whether it accepts `temperature` and `top_p`."""

    model: str
    default_max_tokens: int
    sampling: bool
    thinking_mode: Literal["budget", "adaptive"]
    prompt_cache: bool
    extra_body: Mapping[str, Any]
    _tools: ToolDefinitions = field(init=False, factory=lambda: ToolDefinitions(_tool))

    def body(self, turn: Turn) -> dict[str, Any]:
        """The request's body, with marks for the prompt cache. Raises Unsupported and RequestError.

        The conversation is marked only after its first answer: caching a single question costs money, and nothing
        would read it.
        """
        body: dict[str, Any] = {"model": self.model}
        tools: list[Any] = self._tools.of(turn.tools)
        messages = _messages(turn.messages)
        if not messages:
            raise RequestError("the request has no message of a user; the system prompt alone is not answered")
        if tools:
            body["tools"] = tools
        if turn.system:
            body["system"] = [{"type": "text", "text": turn.system}]
        body["messages"] = messages
        if self.prompt_cache:
            if tools:
                tools[-1] = {**_tool(turn.tools[-1]), "cache_control": _CACHE_CONTROL}
            if turn.system:
                body["system"][-1]["cache_control"] = _CACHE_CONTROL
            if any(message["role"] == "assistant" for message in messages):
                _mark_last(messages[-1]["content"])
        settings = turn.settings
        if settings.thinking is not None and self.thinking_mode == "budget" and _lacks_thoughts(messages):
            settings = settings.replace(thinking=None)
        body.update(self._settings(settings))
        if turn.streaming:
            body["stream"] = True
        body.update(self.extra_body)
        return body

    def _settings(self, settings: Settings) -> dict[str, Any]:
        values: dict[str, Any] = {"max_tokens": settings.max_tokens or self.default_max_tokens}
        if settings.thinking is not None and settings.thinking.budget_tokens is not None:
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
    written: dict[str, Any] = {"name": api_tool_name(tool.name), "input_schema": object_schema(tool.parameters)}
    if tool.description:
        written["description"] = tool.description
    return written


def _lacks_thoughts(messages: list[dict[str, Any]]) -> bool:
    """Whether the conversation ends with results for calls that were made without thoughts, as another model makes them.

    The API then refuses to begin thinking in the middle of that exchange.
    """
    results = messages[-1]["content"]
    if messages[-1]["role"] != "user" or not any(block["type"] == "tool_result" for block in results):
        return False
    answer = next((message for message in reversed(messages) if message["role"] == "assistant"), None)
    return answer is not None and answer["content"][0]["type"] not in ("thinking", "redacted_thinking")


def _mark_last(blocks: list[Block]) -> None:
    """Marks the last block that may be marked: the API refuses the mark on thoughts."""
    for block in reversed(blocks):
        if block["type"] not in ("thinking", "redacted_thinking"):
            block["cache_control"] = _CACHE_CONTROL
            return


def _messages(conversation: Iterable[Message]) -> list[dict[str, Any]]:
    """The conversation as the API requires it: the user begins, roles alternate, no message is empty.

    Raises Unsupported.
    """
    ids = _Ids()
    written: list[dict[str, Any]] = []
    for message in conversation:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, ids)
        if not blocks:
            if role == "assistant":
                continue
            blocks = [_text(EMPTY)]
        if not written and role == "assistant":
            written.append({"role": "user", "content": [_text(EMPTY)]})
        if written and written[-1]["role"] == role:
            written[-1]["content"].extend(blocks)
        else:
            written.append({"role": role, "content": blocks})
    return written


class _Ids:
    """Makes the ids of tool calls unique, and replaces characters that the API refuses.

    A conversation may repeat an id, even within a message. A result belongs to the first call with its id that has none.
    """

    def __init__(self) -> None:
        self._open: dict[str, list[str]] = {}
        self._used: set[str] = set()

    def of_call(self, id: str) -> str:
        plain = _NOT_IN_IDS.sub("_", id) or "call"
        unique, number = plain, 1
        while unique in self._used:
            number += 1
            unique = f"{plain}_{number}"
        self._used.add(unique)
        self._open.setdefault(id, []).append(unique)
        return unique

    def of_result(self, id: str) -> str:
        unanswered = self._open.get(id)
        if not unanswered:
            return _NOT_IN_IDS.sub("_", id) or "call"
        return unanswered.pop(0) if len(unanswered) > 1 else unanswered[0]

    def next_answer(self) -> None:
        """A new answer of the model begins: results that follow belong to its calls, not to earlier ones."""
        self._open.clear()


def _blocks(message: Message, ids: _Ids) -> list[Block]:
    if message.role == "tool":
        result: Block = {"type": "tool_result", "tool_use_id": ids.of_result(message.tool_call_id or "")}
        if content := _content(message):
            result["content"] = content
        return [result]
    if message.tool_calls:
        ids.next_answer()
    return _content(message) + [_tool_use(call, ids) for call in message.tool_calls]


def _content(message: Message) -> list[Block]:
    if message.content is None or isinstance(message.content, str):
        return [_text(message.content)] if message.content and message.content.strip() else []
    return [block for part in message.content if (block := _part(part)) is not None]


def _part(part: Part) -> Block | None:
    """A part as a block. A part whose type the OpenAI format does not have is passed on as a block."""
    match part.get("type"):
        case "text":
            text = str(part.get("text") or "")
            return _text(text) if text.strip() else None
        case "image_url":
            image = part.get("image_url")
            return {"type": "image", "source": _source(image.get("url") if isinstance(image, dict) else image)}
        case "file":
            file = part.get("file")
            return {"type": "document", "source": _source(file.get("file_data") if isinstance(file, dict) else None)}
        case "input_audio" | "refusal" as kind:
            raise Unsupported(f"a message has a part of type '{kind}', which this API does not support")
        case _:
            return dict(part)


def _source(url: Any) -> Block:
    """The source of an image or file: the data of a `data:` URL, or any other URL."""
    if not isinstance(url, str) or not url:
        raise Unsupported("an image or file in a message has neither a URL nor data")
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    head, comma, data = url[5:].partition(",")
    media_type, _, encoding = head.partition(";")
    if not comma or not encoding.endswith("base64"):
        raise Unsupported("an image or file in a message is a data: URL that is not base64")
    return {"type": "base64", "media_type": media_type, "data": data}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _tool_use(call: ToolCall, ids: _Ids) -> Block:
    arguments = parse_json((call.arguments or "{}").encode("utf-8", "surrogatepass"))
    if arguments is None:
        arguments = call.arguments
    if not isinstance(arguments, dict):
        arguments = {"arguments": arguments}  # the model wrote something else; it sees what it wrote
    return {"type": "tool_use", "id": ids.of_call(call.id), "name": api_tool_name(call.name), "input": arguments}
