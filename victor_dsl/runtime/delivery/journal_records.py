"""What the journal's records say: events, and turns that begin.

A payload is a JSON list of records, each a list: the fields of an event, or null and those of a turn's start. Whatever JSON cannot express is replaced: NaN and infinity by
null, objects by their `str()`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import frozen

from victor_dsl.language.boundary import describe
from victor_dsl.storage.journal import MOST_RECORD_BYTES
from victor_dsl.values.chat_format import restore_message
from victor_dsl.values.event import Contents, Event
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool

LONGEST_GROUP = 256 * 1024
"""The most bytes of several records in one payload."""
DATA = 8
"""The place of an event's data among its fields."""
CONTENTS = 10
"""The place of its contents, where it has some."""


@frozen
class TurnStart:
    """A turn that begins. `event_id` is the id that its `turn` event will have; `resumable` says that the caller gave the turn
    its id, and will repeat it after a kill."""

    event_id: str
    turn_id: str
    timestamp: float
    session: str
    tenant: str | None
    pipeline: str
    resumable: bool


Fields = list[Any]


def encoded(records: Sequence[Event | TurnStart]) -> list[tuple[bytes, int]]:
    """The records as JSON without line breaks, and how many are in each payload: all in one, or fewer where that is long or unusual."""
    lists = [
        # written out for the usual record, since every event takes this way
        [r.id, r.type, r.timestamp, r.session, r.tenant, r.pipeline, r.plan, r.variants, r.data, r.user]
        if r.__class__ is Event and r.contents is None
        else _fields(r)
        for r in records
    ]
    return _payloads(lists)


def _payloads(lists: list[Fields]) -> list[tuple[bytes, int]]:
    try:
        data = orjson.dumps(lists, default=_plain)
    except TypeError:  # lone surrogates, numbers over 64 bits, keys that are no text, too deep
        return [(_alone(fields), 1) for fields in lists]
    if len(data) <= LONGEST_GROUP:
        return [(data, len(lists))]
    if len(lists) == 1:
        return [(data if len(data) <= MOST_RECORD_BYTES else _alone(lists[0]), 1)]
    middle = len(lists) // 2
    return _payloads(lists[:middle]) + _payloads(lists[middle:])


def decoded(payload: bytes) -> list[Event | TurnStart] | None:
    """The records of a payload; None where it is not one of this version."""
    try:
        lists = orjson.loads(payload)
    except orjson.JSONDecodeError:
        try:
            lists = json.loads(payload)  # reads lone surrogates
        except (ValueError, RecursionError):
            return None
    try:
        return [_record(fields) for fields in lists]
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _fields(record: Event | TurnStart) -> Fields:
    if isinstance(record, TurnStart):
        return [
            None,
            record.event_id,
            record.turn_id,
            record.timestamp,
            record.session,
            record.tenant,
            record.pipeline,
            record.resumable,
        ]
    fields = [
        record.id,
        record.type,
        record.timestamp,
        record.session,
        record.tenant,
        record.pipeline,
        record.plan,
        record.variants,
        record.data,
        record.user,
    ]
    if record.contents is not None:
        fields.append(_contents(record.contents))
    return fields


def _record(fields: Fields) -> Event | TurnStart:
    if fields[0] is None:
        return TurnStart(*fields[1:])
    if len(fields) > CONTENTS:
        fields[CONTENTS] = _restored(fields[CONTENTS])
    return Event(*fields[: CONTENTS + 1])


def _alone(fields: Fields) -> bytes:
    """The fields in a payload of their own; without the data where that is too long or cannot be written."""
    try:
        data = orjson.dumps([fields], default=_plain)
    except TypeError:
        try:  # in ASCII, so that any text can be stored
            data = json.dumps([fields], default=_plain, separators=(",", ":"), skipkeys=True).encode()
        except Exception as error:  # noqa: BLE001 - also what an object's `__str__` raises
            return _without_data(fields, f"the data cannot be written as JSON: {describe(error)}")
    return data if len(data) <= MOST_RECORD_BYTES else _without_data(fields, f"{len(data)} bytes of JSON")


def _without_data(fields: Fields, reason: str) -> bytes:
    kept = [*fields[:DATA], {"omitted": reason}, fields[DATA + 1]]
    return json.dumps([kept], default=str, separators=(",", ":"), skipkeys=True).encode()


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _contents(contents: Contents) -> dict[str, Any]:
    request = contents.request
    return {
        "user": contents.user,
        "vars": request.vars,
        "inputs": request.inputs,
        "settings": request.settings,
        "tools": [[tool.name, tool.description, tool.parameters] for tool in request.tools],
        "conversation": [message.as_json() for message in contents.conversation],
    }


def _restored(value: Mapping[str, Any]) -> Contents:
    request = Request(
        vars=value["vars"],
        inputs=value["inputs"],
        settings=value["settings"],
        tools=tuple(Tool(*tool) for tool in value["tools"]),
    )
    return Contents(request, value["user"], tuple(map(restore_message, value["conversation"])))
