"""The request: what a caller asks for, before it is admitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from victor_dsl.values.frozen import FrozenMap
from victor_dsl.values.message import Message
from victor_dsl.values.tool import Tool

API_KEY = "api_key"
"""The caller's key, in a request's metadata. `auth` removes it: nothing inside of it sees the key."""
HEADERS = "headers"
"""The request's HTTP headers, in its metadata, with names in lower case."""
KEY_ID = "key_id"
"""What `auth` puts in the key's place: a short name that reveals nothing of the key."""


@frozen(kw_only=True, eq=False)
class Request:
    """One request, with either a `message` or `messages`, which is the whole conversation.

    `id` is returned unchanged. The caller answers calls of the caller's own `tools`. `arms` forces arms of experiments;
    only trusted callers can set it, not request lines. With a `turn_id` the caller can repeat a turn, and its events have
    the same ids again; without one, an id is generated. `metadata` is what the interface adds for admission: the caller's
    key (`API_KEY`) and `HEADERS`. It is never logged.
    """

    id: str | int | None = None
    session: str | None = None
    tenant: str | None = None
    user: str | None = None
    message: str | None = None
    messages: tuple[Message, ...] | None = None
    vars: Mapping[str, Any] = FrozenMap()
    inputs: Mapping[str, Any] = FrozenMap()
    settings: Mapping[str, Any] = FrozenMap()
    tools: tuple[Tool, ...] = ()
    arms: Mapping[str, str] = FrozenMap()
    turn_id: str | None = None
    metadata: Mapping[str, Any] = field(default=FrozenMap(), repr=False)
