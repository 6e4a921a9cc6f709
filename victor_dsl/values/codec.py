"""Reads what arrives at run time from outside: settings, vars and request lines.

Every fault says where it is (`settings.limits.concurrency`) and none shows the value. What a setting may be is
said by `values.settings` alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from annotated_types import MinLen
from attrs import frozen

from victor_dsl.errors import RequestError
from victor_dsl.values.chat_format import message_from_json
from victor_dsl.values.converter import Json, convert
from victor_dsl.values.faults import Fault, Faulty, Path, kind_of
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool

DEPTH = 64
"""How deep a map of a request or a provider may nest."""


def read_settings(raw: Mapping[str, Any]) -> Settings:
    """The Settings that a map of values means; what it leaves out, or sets to null, has its default. Raises Faulty."""
    return convert(without_nulls(raw), Settings, ("settings",))


def read_vars(raw: Any, path: Path = ("vars",)) -> Mapping[str, Any]:
    """The map itself, if it is one that JSON can write. Raises Faulty."""
    if not isinstance(raw, Mapping):
        raise Faulty([Fault(path, f"must be a map, not {kind_of(raw)}")])
    if faults := list(_check_json(raw, path)):
        raise Faulty(faults)
    return raw


def read_request(data: Any) -> Request:
    """The request that a request line is. Raises RequestError that names every fault.

    What the settings may be is not looked at: that depends on the plan.
    """
    try:
        line = convert(data, _Line, ())
        if faults := list(_beyond_types(line)):
            raise Faulty(faults)
    except Faulty as error:
        raise RequestError(str(error)) from error
    messages = None if line.messages is None else _read_messages(line.messages)
    return Request(
        id=line.id,
        session=line.session,
        tenant=line.tenant,
        user=line.user,
        message=line.message,
        messages=messages,
        vars=line.vars or {},
        settings=line.settings or {},
        tools=tuple(map(_tool, line.tools or ())),
    )


def without_nulls(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The map without the keys that are null, deep: null means not set."""
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in raw.items()
        if value is not None
    }


Text = Annotated[str, MinLen(1)]


@frozen
class _Function:
    name: Text
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


@frozen
class _Tool:
    function: _Function
    type: str = "function"


@frozen
class _Line:
    """A request line as it is written."""

    id: Any = None
    session: Text | None = None
    tenant: Text | None = None
    user: Text | None = None
    message: str | None = None
    messages: tuple[Any, ...] | None = None
    vars: Json | None = None
    settings: Json | None = None
    tools: tuple[_Tool, ...] | None = None


def _beyond_types(line: _Line) -> Iterable[Fault]:
    """What the types of a request line cannot say."""
    if line.id is not None and (isinstance(line.id, bool) or not isinstance(line.id, str | int)):
        yield Fault(("id",), f"must be text or a whole number, not {kind_of(line.id)}")
    if (line.message is None) == (line.messages is None):
        yield Fault((), "a request has either 'message' or 'messages'" + ("" if line.message is None else ", not both"))
    if line.messages is not None and not line.messages:
        yield Fault(("messages",), "is empty")
    yield from _check_json(line.vars, ("vars",))
    yield from _check_json(line.settings, ("settings",))
    names: set[str] = set()
    for index, tool in enumerate(line.tools or ()):
        if tool.type != "function":
            yield Fault(("tools", index, "type"), "must be 'function'")
        if tool.function.name in names:
            yield Fault(("tools", index, "function", "name"), f"'{tool.function.name}' is an earlier tool's already")
        yield from _check_json(tool.function.parameters, ("tools", index, "function", "parameters"))
        names.add(tool.function.name)


def _read_messages(raw: tuple[Any, ...]) -> tuple[Message, ...]:
    messages, faults = [], []
    for index, value in enumerate(raw):
        try:
            messages.append(message_from_json(value, f"messages[{index}]"))
        except RequestError as error:
            faults.append(error.message)
    if faults:
        raise RequestError("; ".join(faults))
    return tuple(messages)


def _tool(tool: _Tool) -> Tool:
    function = tool.function
    parameters = function.parameters or {"type": "object", "properties": {}}
    return Tool(function.name, function.description or "", parameters)


def _check_json(value: Any, path: Path, depth: int = 0) -> Iterable[Fault]:
    if depth > DEPTH:
        yield Fault(path[:4], f"nests deeper than {DEPTH} levels")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _check_json(inner, (*path, key), depth + 1)
            else:
                yield Fault(path, f"has a key that is not text but {kind_of(key)}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _check_json(inner, (*path, index), depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(path, "must be finite")
    elif value is not None and not isinstance(value, str | int | float):
        yield Fault(path, "is nothing that JSON can write")
