"""Token estimates: the stated rule until a model's reported usage teaches better.

A text costs ceil(characters / 4), a message 4 more; a tool call counts as the text `name(arguments)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import orjson
from attrs import frozen

from victor_dsl.values.message import Message
from victor_dsl.values.tool import Tool

CHARACTERS_PER_TOKEN = 4
MESSAGE_OVERHEAD = 4

TokenCounter = Callable[[str], int]
"""A model's own tokenizer: the tokens of a text."""


@frozen
class Size:
    """What the tokens of a text, a message or a request are estimated from; sizes add up.

    `stated` are its tokens by the stated rule. `counted` are those by the model's tokenizer, or the stated ones where
    there is none. `extra` are the bytes of UTF-8 beyond one for each character: none for ASCII, two for each Chinese
    character; nor any where a tokenizer counted. It is `whole` unless something is in it that is no text, such as an image.
    """

    stated: int = 0
    counted: int = 0
    extra: int = 0
    whole: bool = True

    def __add__(self, other: Size) -> Size:
        return Size(
            self.stated + other.stated,
            self.counted + other.counted,
            self.extra + other.extra,
            self.whole and other.whole,
        )


def text_tokens(text: str) -> int:
    """ceil(characters / 4)."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def message_tokens(message: Message) -> int:
    """A message's tokens: its text and its tool calls, joined by line breaks, and 4 more."""
    if type(message.content) is str and not message.tool_calls:  # nearly all; counted for each message of each turn
        return -(-len(message.content) // CHARACTERS_PER_TOKEN) + MESSAGE_OVERHEAD
    return text_tokens(_counted(message)) + MESSAGE_OVERHEAD


def tool_tokens(tool: Tool) -> int:
    """A tool definition's tokens: name, description and the parameters' compact JSON."""
    return text_tokens(_definition(tool))


def messages_tokens(messages: Iterable[Message]) -> int:
    """The tokens of all messages."""
    return sum(map(message_tokens, messages))


def text_size(text: str, count: TokenCounter | None = None) -> Size:
    """A text's size; `count` is the model's tokenizer."""
    stated = text_tokens(text)
    return Size(stated, stated, _extra(text)) if count is None else Size(stated, count(text))


def tools_size(tools: Iterable[Tool], count: TokenCounter | None = None) -> Size:
    """The size of tool definitions."""
    return sum((text_size(_definition(tool), count) for tool in tools), Size())


def messages_size(messages: Iterable[Message], count: TokenCounter | None = None) -> Size:
    """The size of all messages."""
    stated = counted = extra = 0
    whole = True
    for message in messages:  # for each message of each turn: no Size is made for each
        text = message.content
        if type(text) is not str or message.tool_calls:
            whole = whole and _is_text(message)
            text = _counted(message)
        stated += -(-len(text) // CHARACTERS_PER_TOKEN) + MESSAGE_OVERHEAD
        if count is not None:
            counted += count(text) + MESSAGE_OVERHEAD
        elif not text.isascii():
            extra += _extra(text)
    return Size(stated, stated if count is None else counted, extra, whole)


def _counted(message: Message) -> str:
    """The text that a message is counted by: its own, then its tool calls."""
    if not message.tool_calls:
        return message.text()
    lines = [message.text()] if message.text() else []
    lines += [f"{call.name}({call.arguments})" for call in message.tool_calls]
    return "\n".join(lines)


def _definition(tool: Tool) -> str:
    return f"{tool.name}{tool.description}{orjson.dumps(tool.parameters).decode()}"


def _is_text(message: Message) -> bool:
    content = message.content
    return content is None or isinstance(content, str) or all(part.get("type") == "text" for part in content)


def _extra(text: str) -> int:
    return 0 if text.isascii() else len(text.encode("utf-8", "surrogatepass")) - len(text)
