"""The request: what a caller asks for, before it is admitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from victor_dsl.errors import RequestError, UsageError
from victor_dsl.values.faults import kind_of
from victor_dsl.values.frozen import FrozenMap
from victor_dsl.values.message import ROLES, Message
from victor_dsl.values.tool import Tool

API_KEY = "api_key"
"""The caller's key, in a request's metadata. `auth` removes it: nothing inside of it sees the key."""
HEADERS = "headers"
"""The request's HTTP headers, in its metadata, with names in lower case."""
KEY_ID = "key_id"
"""What `auth` puts in the key's place: a short name that reveals nothing of the key."""


def _messages(given: Sequence[Message] | None) -> tuple[Message, ...] | None:
    return tuple(given) if isinstance(given, list) else given  # type: ignore[return-value] # check_request reports the rest


def _tools(given: Sequence[Tool]) -> tuple[Tool, ...]:
    return tuple(given) if isinstance(given, list) else given  # type: ignore[return-value] # as above


@frozen(kw_only=True, eq=False)
class Request:
    """One request, with either a `message` or `messages`, which is the whole conversation. Raises RequestError for both.

        request = victor_dsl.Request(message="Hello!", session="s1", tenant="acme")
        reply = await app.answer(request)

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
    messages: tuple[Message, ...] | None = field(default=None, converter=_messages)
    vars: Mapping[str, Any] = FrozenMap()
    inputs: Mapping[str, Any] = FrozenMap()
    settings: Mapping[str, Any] = FrozenMap()
    tools: tuple[Tool, ...] = field(default=(), converter=_tools)
    arms: Mapping[str, str] = FrozenMap()
    turn_id: str | None = None
    metadata: Mapping[str, Any] = field(default=FrozenMap(), repr=False)

    def __attrs_post_init__(self) -> None:
        if self.message is not None and self.messages is not None:
            raise RequestError(
                "message and messages are both given", hint="give one: messages is the whole conversation"
            )


def request_of(message: str | Request, **fields: Any) -> Request:
    """The request of a message; a request stays as it is. Raises UsageError where both say something."""
    given = {name: value for name, value in fields.items() if value is not None}
    if not isinstance(message, Request):
        return Request(message=message, **given)
    if given:
        names = ", ".join("session_id" if name == "session" else name for name in given)
        raise UsageError(f"a Request has everything itself; it came with {names}", hint="put them into the Request")
    return message


def check_request(request: Request) -> None:
    """Checks the types of what a caller in Python gives. Raises RequestError with every fault."""
    if faults := list(_wrong_types(request)):
        raise RequestError("; ".join(faults))


def _wrong_types(request: Request) -> Iterator[str]:
    given: Any = request.id
    if not isinstance(given, str | int | None):
        yield f"id must be text or a whole number, not {_kind(given)}"
    for name in ("session", "tenant", "user", "message", "turn_id"):
        text = getattr(request, name)
        if text is not None and not isinstance(text, str):
            yield f"{name} must be text, not {_kind(text)}"
    for name in ("vars", "inputs", "settings", "arms", "metadata"):
        given = getattr(request, name)
        if given.__class__ is not FrozenMap and given is not None and not isinstance(given, Mapping):
            yield f"{name} must be a map, not {_kind(given)}"
        elif given:
            yield from (f"{name}: the name {key!r} must be text" for key in given if not isinstance(key, str))
    for name, wanted in (("messages", Message), ("tools", Tool)):
        items = getattr(request, name)
        if items and not isinstance(items, tuple | list):
            yield f"{name} must be a list, not {_kind(items)}"
        elif items:
            yield from _not_all(wanted, name, items)


def _not_all(wanted: Any, name: str, items: Sequence[Any]) -> Iterator[str]:
    for index, item in enumerate(items):
        if not isinstance(item, wanted):
            yield f"{name}[{index}] must be a victor_dsl.{wanted.__name__}, not {_kind(item)}"
        elif wanted is Message and item.role not in ROLES:
            yield f"{name}[{index}].role must be one of {', '.join(ROLES)}, not {item.role!r}"
        elif wanted is Tool or (content := item.content).__class__ is str or content is None:
            continue
        elif not isinstance(content, str | tuple | list):
            yield f"{name}[{index}].content must be text or a list of parts, not {_kind(content)}"
        elif not isinstance(content, str) and not all(isinstance(part, Mapping) for part in content):
            yield f"{name}[{index}].content: a part is a map such as {{type: text, text: …}}"


def _kind(value: Any) -> str:
    kind = kind_of(value)
    return (
        type(value).__name__
        if isinstance(value, bytes)
        else f"a {type(value).__name__}"
        if kind == "something else"
        else kind
    )
