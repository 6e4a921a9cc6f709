"""The text of a group of messages, bounded in length, as several kinds of compaction read it."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.values.history import Group, History
from victor_dsl.values.message import Message

MOST_CHARACTERS = 8_000
"""Of a longer message only the two ends are read: they show what it is about, and the work stays bounded."""


def group_text(history: History, group: Group) -> str:
    """The texts and tool calls of the group's messages, line by line."""
    return "\n".join(line for index in group.indices for line in lines(history.messages[index]))


def lines(message: Message) -> Iterator[str]:
    """The message's text, bounded, and each of its tool calls as `name(arguments)`."""
    if text := message.text():
        yield bounded(text)
    for call in message.tool_calls:
        yield bounded(f"{call.name}({call.arguments})")


def bounded(text: str, most: int = MOST_CHARACTERS) -> str:
    """The text, or its two ends with a note between them."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n[… {len(text) - most:,} characters left out …]\n{text[-(most // 2) :]}"
