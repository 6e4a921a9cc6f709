"""Messages in the format of the messages API."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from victor_dsl.components.hosted_models import Unsupported, api_tool_name
from victor_dsl.values.message import Message, Part, ToolCall

EMPTY = "(empty)"
"""Replaces empty text: the API refuses empty blocks and messages."""

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")

Block = dict[str, Any]


def write_messages(conversation: Iterable[Message]) -> list[dict[str, Any]]:
    """The conversation as the API requires it: the user begins, roles alternate, no message is empty. Raises Unsupported."""
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

    A conversation may repeat an id. A result belongs to the nearest earlier call with its id.
    """

    def __init__(self) -> None:
        self._latest: dict[str, str] = {}
        self._used: set[str] = set()

    def of_call(self, id: str) -> str:
        plain = _NOT_IN_IDS.sub("_", id) or "call"
        unique, number = plain, 1
        while unique in self._used:
            number += 1
            unique = f"{plain}_{number}"
        self._used.add(unique)
        self._latest[id] = unique
        return unique

    def of_result(self, id: str) -> str:
        return self._latest.get(id) or _NOT_IN_IDS.sub("_", id) or "call"


def _blocks(message: Message, ids: _Ids) -> list[Block]:
    if message.role == "tool":
        result: Block = {"type": "tool_result", "tool_use_id": ids.of_result(message.tool_call_id or "")}
        if content := _content(message):
            result["content"] = content
        return [result]
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
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except orjson.JSONDecodeError:
        arguments = call.arguments
    if not isinstance(arguments, dict):
        arguments = {"arguments": arguments}  # the model wrote something else; it sees what it wrote
    return {"type": "tool_use", "id": ids.of_call(call.id), "name": api_tool_name(call.name), "input": arguments}
