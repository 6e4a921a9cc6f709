"""A turn as the body of a messages request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Literal

from attrs import field, frozen

from victor_dsl.components.api_tools import (
    CallIds,
    ToolDefinitions,
    chosen_tool,
    object_schema,
)
from victor_dsl.components.foreign_parts import OF_RESPONSES, chat_part
from victor_dsl.components.hosted_models import Unsupported
from victor_dsl.components.models.anthropic.accepted import LEAST_THINKING
from victor_dsl.components.models.anthropic.cache_marks import Block, Mark, mark
from victor_dsl.components.models.anthropic.tool_search import SEARCH_TOOL, own_blocks
from victor_dsl.errors import RequestError
from victor_dsl.transport.json_values import parse_json
from victor_dsl.values.images import from_base64
from victor_dsl.values.message import Message, Part, ToolCall
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool, api_tool_name
from victor_dsl.values.turn import Turn

EMPTY = "(empty)"
"""Replaces empty text: the API refuses empty blocks and messages."""

_content_of = attrgetter("content")
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_NO_THINKING = {"type": "disabled"}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


@frozen
class MessageRequest:
    """Writes requests to one model.

    `sampling` says whether it accepts `temperature` and `top_p`, and `both` whether it accepts them together. With the
    `thinking_mode` None, thinking is sent as the settings ask for it. `cache` marks the request for the prompt cache.
    """

    model: str
    default_max_tokens: int
    sampling: bool
    both: bool
    thinking_mode: Literal["budget", "adaptive"] | None
    cache: Mark | None
    extra_body: Mapping[str, Any]
    _tools: ToolDefinitions = field(init=False, factory=lambda: ToolDefinitions(_tool))
    _deferred: ToolDefinitions = field(init=False, factory=lambda: ToolDefinitions(_deferred_tool))

    def body(self, turn: Turn) -> dict[str, Any]:
        """The request's body, with marks for the prompt cache. Raises Unsupported and RequestError."""
        body: dict[str, Any] = {"model": self.model}
        tools: list[Any] = self._tools.of(turn.tools)
        messages, examples = self._messages(turn)
        if not messages:
            raise RequestError("the request has no message of a user; the system prompt alone is not answered")
        if tools:
            tools[-1] = _tool(turn.tools[-1])
            body["tools"] = tools
        if turn.deferred is not None:
            body["tools"] = [*self._deferred.of(turn.deferred.tools), *tools, dict(SEARCH_TOOL)]
        if turn.system:
            body["system"] = _system(turn.system, turn.stable_system)
        body["messages"] = messages
        has_parts = tuple in map(type, map(_content_of, turn.messages))
        in_session = turn.request.session is not None
        mark(body, self.cache, in_session=in_session, has_parts=has_parts, examples=examples)
        body.update(self._settings(turn, messages))
        if turn.streaming:
            body["stream"] = True
        body.update(self.extra_body)
        return body

    def _messages(self, turn: Turn) -> tuple[list[dict[str, Any]], int]:
        """The conversation as the API requires it, and how many messages of it are few-shot messages.

        The user begins, roles alternate, no message is empty. Raises Unsupported.
        """
        ids = CallIds(_api_id)
        written: list[dict[str, Any]] = []
        examples = 0
        for place, message in enumerate(turn.messages):
            if place == len(turn.examples):
                examples = len(written)
            role = "assistant" if message.role == "assistant" else "user"
            own = own_blocks(message, turn, self.model)
            blocks = _blocks(message, ids) if own is None else _own(own, message, ids)
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
        return written, examples

    def _settings(self, turn: Turn, messages: list[dict[str, Any]]) -> dict[str, Any]:
        settings = turn.settings
        values: dict[str, Any] = {"max_tokens": settings.max_tokens or self.default_max_tokens}
        choice = _tool_choice(turn)
        if choice:
            values["tool_choice"] = choice
        # The API refuses a tool that must be called together with thinking.
        is_forced = choice is not None and choice["type"] in ("any", "tool")
        thinking = {} if is_forced else self._thinking(settings, messages)
        values.update(thinking)
        if self.sampling and thinking.get("thinking", _NO_THINKING) == _NO_THINKING:  # it also refuses both of these
            if settings.temperature is not None:
                values["temperature"] = min(settings.temperature, 1.0)
            if settings.top_p is not None and (self.both or settings.temperature is None):
                values["top_p"] = settings.top_p
        if stops := [stop for stop in settings.stop or () if stop.strip()]:
            values["stop_sequences"] = stops
        output: dict[str, Any] = {}
        if settings.reasoning_effort in _EFFORTS:
            output["effort"] = _EFFORTS[settings.reasoning_effort]
        if settings.response_format and settings.response_format.get("type") != "text":
            output["format"] = _format(settings.response_format)
        if output:
            values["output_config"] = output
        return values

    def _thinking(self, settings: Settings, messages: list[dict[str, Any]]) -> dict[str, Any]:
        thinking = settings.thinking
        if thinking is None:
            return {}
        if thinking.budget_tokens is None or self.thinking_mode == "adaptive":
            type = "disabled" if thinking.type == "disabled" else "adaptive"
            if type == "adaptive" and self.thinking_mode == "budget":
                raise Unsupported("thinking.type is `adaptive`, but this model's `thinking_mode` is `budget`")
            return {"thinking": {"type": type}}
        if _lacks_thoughts(messages):
            return {}
        budget = max(thinking.budget_tokens, LEAST_THINKING)
        enabled = {"type": "enabled", "budget_tokens": budget}
        if settings.max_tokens is None:
            return {"thinking": enabled, "max_tokens": self.default_max_tokens + budget}
        if budget >= settings.max_tokens:
            raise Unsupported(
                f"thinking.budget_tokens ({budget}) must be less than max_tokens ({settings.max_tokens}), "
                "which covers the thoughts and the answer"
            )
        return {"thinking": enabled}


def _system(text: str, stable: int | None) -> list[Block]:
    """The system prompt; what varies is a block of its own, so that what comes before it can be marked for the cache."""
    if not stable or text[stable : stable + 2] != "\n\n":  # middleware may have changed it
        return [_text(text)]
    return [_text(text[:stable]), _text(text[stable:])]


def _tool_choice(turn: Turn) -> dict[str, Any] | None:
    if turn.deferred is not None:
        turn = turn.replace(tools=turn.deferred.tools)
    name, parallel = chosen_tool(turn), turn.settings.parallel_tool_calls
    if name is None:
        if not turn.tools or parallel is None:
            return None
        name = "auto"
    choice: dict[str, Any] = {"type": _CHOICES.get(name, "tool")}
    if choice["type"] == "tool":
        choice["name"] = name
    if parallel is not None and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = not parallel
    return choice


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


def _deferred_tool(tool: Tool) -> dict[str, Any]:
    return {**_tool(tool), "defer_loading": True}


def _lacks_thoughts(messages: list[dict[str, Any]]) -> bool:
    """Whether the conversation ends with results for calls that were made without thoughts, as another model makes them.

    The API then refuses to begin thinking in the middle of that exchange.
    """
    results = messages[-1]["content"]
    if messages[-1]["role"] != "user" or not any(block["type"] == "tool_result" for block in results):
        return False
    answer = next((message for message in reversed(messages) if message["role"] == "assistant"), None)
    return answer is not None and answer["content"][0]["type"] not in ("thinking", "redacted_thinking")


def _api_id(id: str) -> str:
    return _NOT_IN_IDS.sub("_", id)


def _blocks(message: Message, ids: CallIds) -> list[Block]:
    if message.role == "tool":
        result: Block = {"type": "tool_result", "tool_use_id": ids.of_result(message.tool_call_id or "")}
        if content := _content(message):
            result["content"] = content
        return [result]
    if message.tool_calls:
        ids.next_answer()
    return _content(message) + [_tool_use(call, ids) for call in message.tool_calls]


def _own(blocks: list[Block], message: Message, ids: CallIds) -> list[Block]:
    """The model's own blocks, with its calls under ids that are unique in the conversation."""
    ids.next_answer()
    calls = iter(message.tool_calls)
    return [_tool_use(next(calls), ids) if block["type"] == "tool_use" else block for block in blocks]


def _content(message: Message) -> list[Block]:
    if message.content is None or isinstance(message.content, str):
        return [_text(message.content)] if message.content and message.content.strip() else []
    return [block for part in message.content if (block := _part(part)) is not None]


def _part(part: Part) -> Block | None:
    """A part as a block, with the caller's mark for the prompt cache."""
    block = _unmarked(chat_part(part) if part.get("type") in OF_RESPONSES else part)
    marked = part.get("cache_control")
    return block if block is None or not isinstance(marked, Mapping) else {**block, "cache_control": marked}


def _unmarked(part: Part) -> Block | None:
    """A part as a block. A part whose type the OpenAI format does not have is passed on as a block."""
    match part.get("type"):
        case "text":
            text = str(part.get("text") or "")
            return _text(text) if text.strip() else None
        case "image_url":
            image = part.get("image_url")
            source = _source(image.get("url") if isinstance(image, dict) else image)
            return {"type": "document" if source.get("media_type") == "application/pdf" else "image", "source": source}
        case "file":
            file = part.get("file")
            return {"type": "document", "source": _source(file.get("file_data") if isinstance(file, dict) else None)}
        case "refusal":
            return _text(str(part.get("refusal") or "")) if str(part.get("refusal") or "").strip() else None
        case "input_audio" as kind:
            raise Unsupported(f"a message has a part of type '{kind}', which this API does not support")
        case _:
            return {key: value for key, value in part.items() if key != "cache_control"}


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
    media_type = media_type.lower().replace("image/jpg", "image/jpeg")
    if media_type == "text/plain" and (content := from_base64(data)) is not None:
        return {"type": "text", "media_type": media_type, "data": content.decode("utf-8", "replace")}
    return {"type": "base64", "media_type": media_type, "data": data}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _tool_use(call: ToolCall, ids: CallIds) -> Block:
    arguments = parse_json((call.arguments or "{}").encode("utf-8", "surrogatepass"))
    if arguments is None:
        arguments = call.arguments
    if not isinstance(arguments, dict):
        arguments = {"arguments": arguments}  # the model wrote something else; it sees what it wrote
    return {"type": "tool_use", "id": ids.of_call(call.id), "name": api_tool_name(call.name), "input": arguments}
