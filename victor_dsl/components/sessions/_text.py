"""A turn's messages as the JSON text that stores keep, and back; and the key of a session in stores that bound keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import orjson

from victor_dsl.values.chat_format import message_to_json, restore_message
from victor_dsl.values.message import Message

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""What `from_text` raises for a text that `to_text` did not write."""


def to_text(messages: Sequence[Message]) -> str:
    """A list in the OpenAI chat format."""
    value = [message_to_json(message) for message in messages]
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # lone surrogates and numbers over 64 bits, which JSON can say
        return json.dumps(value)


def from_text(text: str | bytes) -> tuple[Message, ...]:
    """The messages. Raises one of `UNREADABLE`."""
    return tuple([restore_message(message) for message in _parsed(text)])


def session_key(tenant: str | None, session: str) -> bytes:
    """32 bytes that stand for one session of one tenant, whatever their ids hold and however long they are."""
    return hashlib.sha256(json.dumps([tenant, session]).encode()).digest()


def shown(session: str) -> str:
    """A session's id as messages quote it."""
    return json.dumps(session[:80])


def _parsed(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)
