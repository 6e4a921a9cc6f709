"""Checks what arrives at run time from outside: settings, vars and request lines.

A fault names its path (`settings.limits.concurrency`) and never shows the value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from attrs import evolve
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from victor_dsl.errors import RequestError
from victor_dsl.values.chat_format import message_from_json
from victor_dsl.values.faults import Fault, Faulty, Path, Subject, dotted, faults_of, kind_of
from victor_dsl.values.message import Message
from victor_dsl.values.model import Model
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool

MAX_DEPTH = 64
"""How deep a map of a request or a provider may nest."""

M = TypeVar("M", bound=BaseModel)


def read_settings(raw: Any) -> Settings:
    """The Settings that a map of values means; what it leaves out, or sets to null, has its default. Raises Faulty."""
    return read(Settings, without_nulls(raw), "settings", ("settings",))


def read_vars(raw: Any, path: Path = ("vars",)) -> Mapping[str, Any]:
    """The map itself, if it can be written as JSON. Raises Faulty."""
    if not isinstance(raw, Mapping):
        raise Faulty([Fault(path, f"{dotted(path)} must be a map, not {kind_of(raw)}")])
    if faults := list(json_faults(raw, path)):
        raise Faulty(faults)
    return raw


def read(model: type[M], value: Any, name: str, within: Path = ()) -> M:
    """The value as the model. Messages call it `name`, and its parts by their path below `within`. Raises Faulty."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = faults_of(model, value, error.errors(include_url=False), Subject(name, within))
    raise Faulty(evolve(fault, path=(*within, *fault.path)) for fault in found)


def read_request(data: Any) -> Request:
    """The request that a request line is. Raises RequestError that names every fault.

    Which settings it may set is not checked: that depends on the plan.
    """
    try:
        line = read(_Line, data, "the request")
        if faults := list(_beyond_types(line)):
            raise Faulty(faults)
    except Faulty as error:
        raise RequestError(str(Faulty(map(_with_section, error.faults)))) from error
    messages = None if line.messages is None else _read_messages(line.messages)
    return Request(
        id=line.id,
        session=line.session,
        tenant=line.tenant,
        user=line.user,
        message=line.message,
        messages=messages,
        vars=line.vars or {},
        inputs=line.inputs or {},
        settings=line.settings or {},
        tools=tuple(map(_tool, line.tools or ())),
    )


def _with_section(fault: Fault) -> Fault:
    """The fault; of a setting that was written beside `message`, with a hint where to write it."""
    if fault.code == "unknown-key" and len(fault.path) == 1 and fault.path[0] in Settings.model_fields:
        return evolve(fault, hint="it is a setting: write it under 'settings'")
    return fault


def line_schema() -> dict[str, Any]:
    """The JSON Schema of request lines of any spec."""
    schema = _Line.model_json_schema(ref_template="#/$defs/{model}")
    return {key: value for key, value in schema.items() if key != "title"}


def without_nulls(raw: Any) -> Any:
    """The value without the keys that are null, deep in maps: null means not set."""
    if not isinstance(raw, Mapping):
        return raw
    return {key: without_nulls(value) for key, value in raw.items() if value is not None}


Text = Annotated[str, Field(min_length=1)]


def _check_time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError("a time is written as RFC 3339 has it, such as 2026-01-31T12:00:00Z")
    return text


class _Function(Model):
    name: Text
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(Model):
    function: _Function
    type: Literal["function"] = "function"


class _Line(Model):
    """A request line as it is written."""

    id: str | int | None = None
    session: Text | None = None
    tenant: Text | None = None
    user: Text | None = None
    message: str | None = None
    messages: Annotated[list[Any], Field(min_length=1)] | None = None
    vars: dict[str, Any] | None = None
    inputs: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    tools: list[_Tool] | None = None
    timestamp: Annotated[str, AfterValidator(_check_time)] | None = Field(
        None, description="When it was asked (RFC 3339), of recorded traffic. Turns do not see it."
    )
    recorded: dict[str, Any] | None = Field(
        None, description="What was recorded of the answer, such as model and usage. Turns do not see it."
    )


def _beyond_types(line: _Line) -> Iterable[Fault]:
    """Checks across the fields of a request line."""
    if (line.message is None) == (line.messages is None):
        both = "" if line.message is None else ", not both"
        yield Fault((), f"a request has either 'message' or 'messages'{both}")
    yield from json_faults(line.messages, ("messages",))
    yield from json_faults(line.vars, ("vars",))
    yield from json_faults(line.inputs, ("inputs",))
    yield from json_faults(line.settings, ("settings",))
    names: set[str] = set()
    for index, tool in enumerate(line.tools or ()):
        path: Path = ("tools", index, "function")
        if tool.function.name in names:
            yield Fault((*path, "name"), f"{dotted(path)}.name: an earlier tool is named '{tool.function.name}' too")
        yield from json_faults(tool.function.parameters, (*path, "parameters"))
        names.add(tool.function.name)


def _read_messages(raw: list[Any]) -> tuple[Message, ...]:
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


def json_faults(value: Any, path: Path, depth: int = 0) -> Iterator[Fault]:
    """Why a value cannot be written as JSON."""
    if depth > MAX_DEPTH:
        yield Fault(path[:4], f"{dotted(path[:4])} nests deeper than {MAX_DEPTH} levels")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from json_faults(inner, (*path, key), depth + 1)
            else:
                yield Fault(path, f"{dotted(path)} has a key that is not text but {kind_of(key)}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from json_faults(inner, (*path, index), depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(path, f"{dotted(path)} must be a finite number")
    elif value is not None and not isinstance(value, str | int | float):
        yield Fault(path, f"{dotted(path)} cannot be written as JSON")
