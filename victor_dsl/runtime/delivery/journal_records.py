"""What the journal's records say: events, and turns that begin.

An event is a JSON list of its fields, the beginning of a turn a map. Whatever JSON cannot express is replaced: NaN and infinity by
null, objects by their `str()`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import frozen

from victor_dsl.storage.journal import MOST_RECORD_BYTES
from victor_dsl.values.chat_format import restore_message
from victor_dsl.values.event import Contents, Event
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool


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


def encoded(record: Event | TurnStart) -> bytes:
    """The record as JSON without line breaks."""
    if isinstance(record, TurnStart):
        fields: Any = {
            "turn": record.turn_id,
            "event": record.event_id,
            "timestamp": record.timestamp,
            "session": record.session,
            "tenant": record.tenant,
            "pipeline": record.pipeline,
            "resumable": record.resumable,
        }
    else:
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
        ]
        if record.contents is not None:
            fields.append(_contents(record.contents))
    try:
        data = orjson.dumps(fields, default=_plain)
    except TypeError:  # lone surrogates, numbers over 64 bits, keys that are no text, too deep
        data = _unusual(fields)
    if len(data) <= MOST_RECORD_BYTES:
        return data
    assert isinstance(record, Event), "the start of a turn is short"
    return _unusual([*fields[:8], {"omitted": f"{len(data)} bytes of JSON"}])


def decoded(payload: bytes) -> Event | TurnStart | None:
    """The record; None where the payload is not one, such as that of a later version."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(payload)  # reads lone surrogates
        except ValueError:
            return None
    try:
        if isinstance(value, dict):
            return TurnStart(
                value["event"],
                value["turn"],
                value["timestamp"],
                value["session"],
                value["tenant"],
                value["pipeline"],
                value["resumable"],
            )
        id, type, timestamp, session, tenant, pipeline, plan, variants, data = value[:9]
        contents = _restored(value[9]) if len(value) > 9 else None
        return Event(id, type, timestamp, session, tenant, pipeline, plan, variants, data, contents)
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _unusual(fields: Any) -> bytes:
    """The fields in ASCII, so that any text can be stored; without the data where it cannot be written."""
    try:
        return json.dumps(fields, default=_plain, separators=(",", ":"), skipkeys=True).encode()
    except (RecursionError, ValueError, TypeError) as error:
        kept = [*fields[:8], {"omitted": f"the data cannot be written as JSON: {error}"}]
        return json.dumps(kept, default=str, separators=(",", ":"), skipkeys=True).encode()


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
