"""Token estimates: the stated rule until a model's reported usage teaches better.

A text costs ceil(characters / 4), a message 4 more; a tool call counts as the text `name(arguments)`.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from victor_dsl.values.message import Message
from victor_dsl.values.tool import Tool

CHARACTERS_PER_TOKEN = 4
MESSAGE_OVERHEAD = 4


def text_tokens(text: str) -> int:
    """ceil(characters / 4)."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def message_tokens(message: Message) -> int:
    """A message's tokens: its text and its tool calls, joined by line breaks, and 4 more."""
    if type(message.content) is str and not message.tool_calls:  # nearly all; counted for each message of each turn
        return -(-len(message.content) // CHARACTERS_PER_TOKEN) + MESSAGE_OVERHEAD
    if not message.tool_calls:
        return text_tokens(message.text()) + MESSAGE_OVERHEAD
    lines = [message.text()] if message.text() else []
    lines += [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return text_tokens("\n".join(lines)) + MESSAGE_OVERHEAD


def tool_tokens(tool: Tool) -> int:
    """A tool definition's tokens: name, description and the parameters' compact JSON."""
    return text_tokens(f"{tool.name}{tool.description}{orjson.dumps(tool.parameters).decode()}")


def messages_tokens(messages: Iterable[Message]) -> int:
    """The tokens of all messages."""
    return sum(map(message_tokens, messages))
