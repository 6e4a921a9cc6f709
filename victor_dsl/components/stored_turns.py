"""How session stores write turns: messages as JSON text, and a key of bounded length for each session."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from attrs import evolve

from victor_dsl.errors import StoreError
from victor_dsl.transport.json_values import is_shallow
from victor_dsl.values.chat_format import restore_message
from victor_dsl.values.message import ROLES, Message

MOST_LEVELS = 200
"""How deep a stored message may nest, so that it can be written into requests."""


def messages_to_text(messages: Sequence[Message]) -> str:
    """A turn's messages as a JSON list in the OpenAI chat format, with one more key: `said`."""
    value = [
        message.as_json() if message.said is None else {**message.as_json(), "said": message.said}
        for message in messages
    ]
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # orjson refuses lone surrogates and numbers over 64 bits; the standard library writes them
        return json.dumps(value)


def messages_from_text(text: str | bytes) -> list[Message]:
    """The messages of a text by `messages_to_text`. Raises all sorts of exceptions for another text."""
    try:
        value = orjson.loads(text)
    except ValueError:
        value = json.loads(text, parse_constant=lambda _: None)  # orjson writes NaN as null
    return [_restored(message) for message in value]


def read_history(turns: Iterable[str | bytes], session: str, *, node: str, hint: str) -> tuple[Message, ...]:
    """The messages of a session, from the texts of its turns. Raises StoreError, with that hint, for another text."""
    try:
        return tuple([message for turn in turns for message in messages_from_text(turn)])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise unreadable(session, node=node, hint=hint) from error


def unreadable(session: str, *, node: str, hint: str) -> StoreError:
    """The error for a session whose rows this store did not write, or that were damaged since."""
    message = f"the history of session {json.dumps(session[:80])} cannot be read"
    return StoreError(message, node=node, hint=hint)


def _restored(value: Any) -> Message:
    """A message by `messages_to_text`. Raises all sorts of exceptions for another value: turns trust the types of messages."""
    role, content = value["role"], value.get("content")
    if len(value) == 2 and type(content) is str and role in ROLES:  # nearly all messages
        return Message(role, content)
    message = restore_message(value)
    if "said" in value:
        message = evolve(message, said=value["said"])
    calls = message.tool_calls
    texts = (message.tool_call_id, message.name, message.written_by, message.said)
    if (
        role not in ROLES
        or (calls and role != "assistant")
        or not all(isinstance(text, str) for call in calls for text in (call.id, call.name, call.arguments))
        or not all(text is None or isinstance(text, str) for text in texts)
        or not (
            content is None or isinstance(content, str) or (isinstance(content, list) and all(map(_is_part, content)))
        )
        or not all(is_shallow(part, MOST_LEVELS) for part in value.values())
    ):
        raise ValueError("not a message")
    return message


def _is_part(part: Any) -> bool:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return False
    return part["type"] != "text" or isinstance(part.get("text"), str)


def session_key(tenant: str | None, session: str, user: str | None = None) -> bytes:
    """32 bytes that identify a session of a tenant and a user, whatever characters their ids have and however long they are."""
    owner = [tenant] if user is None else [tenant, user]
    return hashlib.sha256(json.dumps([*owner, session]).encode()).digest()
