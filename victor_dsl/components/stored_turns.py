"""How session stores write turns: messages as JSON text, and a key of bounded length for each session."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import orjson

from victor_dsl.errors import StoreError
from victor_dsl.values.chat_format import message_to_json, restore_message
from victor_dsl.values.message import Message


def messages_to_text(messages: Sequence[Message]) -> str:
    """A turn's messages as a JSON list in the OpenAI chat format."""
    value = [message_to_json(message) for message in messages]
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # orjson refuses lone surrogates and numbers over 64 bits; the standard library writes them
        return json.dumps(value)


def messages_from_text(text: str | bytes) -> list[Message]:
    """The messages of a text by `messages_to_text`. Raises all sorts of exceptions for another text."""
    try:
        value = orjson.loads(text)
    except ValueError:
        value = json.loads(text)
    return [restore_message(message) for message in value]


def read_history(turns: Iterable[str | bytes], session: str, *, node: str, hint: str) -> tuple[Message, ...]:
    """The messages of a session, from the texts of its turns. Raises StoreError, with that hint, for another text."""
    try:
        return tuple([message for turn in turns for message in messages_from_text(turn)])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        message = f"the history of session {json.dumps(session[:80])} cannot be read"
        raise StoreError(message, node=node, hint=hint) from error


def session_key(tenant: str | None, session: str, user: str | None = None) -> bytes:
    """32 bytes that identify a session of a tenant and a user, whatever characters their ids have and however long they are."""
    owner = [tenant] if user is None else [tenant, user]
    return hashlib.sha256(json.dumps([*owner, session]).encode()).digest()
