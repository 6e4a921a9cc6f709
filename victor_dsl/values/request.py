"""The request: what a caller asks for, before anything is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from victor_dsl.values.message import Message
from victor_dsl.values.tool import Tool

API_KEY = "api_key"
"""The caller's key, in a request's metadata. `auth` takes it out: nothing inside of it sees the key."""
HEADERS = "headers"
"""The request's HTTP headers, in its metadata, with names in lower case."""
KEY_ID = "key_id"
"""What `auth` puts in the key's place: a short name for it, which tells nothing of the key."""


@frozen(kw_only=True, eq=False)
class Request:
    """One request. Exactly one of `message` and `messages` is given; `messages` is the whole conversation.

    `id` is handed back as it came. `tools` are the caller's own, answered by the caller. `arms` forces arms of
    experiments and is for callers who are trusted: no request line can set it. `turn_id` names the turn where
    the caller must be able to repeat it (its events then have the same ids); otherwise one is made. `metadata` is
    what the interface knows besides, for admission: the caller's key (`API_KEY`), `HEADERS`. It is never logged.
    """

    id: str | int | None = None
    session: str | None = None
    tenant: str | None = None
    user: str | None = None
    message: str | None = None
    messages: tuple[Message, ...] | None = None
    vars: Mapping[str, Any] = field(factory=dict)
    settings: Mapping[str, Any] = field(factory=dict)
    tools: tuple[Tool, ...] = ()
    arms: Mapping[str, str] = field(factory=dict)
    turn_id: str | None = None
    metadata: Mapping[str, Any] = field(factory=dict, repr=False)
