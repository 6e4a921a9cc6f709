"""Events as rows of `analytics_events`, with values that every database can store.

Values that JSON or a database cannot represent are replaced: NUL by U+2400 (␀), a lone surrogate by U+FFFD, the numbers NaN
and infinity by the texts `NaN`, `Infinity` and `-Infinity`, and objects by their `str()`. In tenant ids they are escaped
instead, so that different tenants stay different.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from victor_dsl.storage.tenant_key import tenant_key
from victor_dsl.values.event import Event

COLUMNS = (
    *("event_id", "event_type", "timestamp", "session_id", "tenant_id", "user_id", "pipeline", "plan", "variants"),
    "event_data",
)

Row = tuple[str, str, Any, str | None, str | None, str | None, str, str, str, str]

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def event_row(event: Event, timestamp: Any) -> Row:
    """The event in the order of COLUMNS; `variants` and `event_data` as JSON text. Raises ValueError."""
    tenant = event.tenant
    return (
        event.id,
        event.type,
        timestamp,
        None if event.session is None else text(event.session),
        None if tenant is None else tenant_key(tenant),  # row-level security compares it
        None if event.user is None else text(event.user),
        text(event.pipeline),
        text(event.plan),
        _json(event.variants),
        _json(event.data),
    )


def text(value: str) -> str:
    """The text, with replacements for characters that a database cannot store."""
    if value.isascii() and "\0" not in value:
        return value
    return _UNSTORABLE.sub(lambda found: "␀" if found[0] == "\0" else "\ufffd", value)


def _json(value: Mapping[str, Any]) -> str:
    try:
        written = orjson.dumps(value)
    except TypeError:  # lone surrogates, numbers over 64 bits, objects
        return _storable_json(value)
    # orjson writes NUL as an escape, and NaN as null.
    if b"\\u0000" in written or (b"null" in written and not all(map(_is_exact, value.values()))):
        return _storable_json(value)
    return written.decode()


def _is_exact(value: Any) -> bool:
    """Whether orjson writes the value as it is. False for containers, which may contain NaN."""
    return value is None or type(value) in {str, int, bool} or (type(value) is float and math.isfinite(value))


def _storable_json(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(_storable(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except RecursionError as error:
        raise ValueError("the event is nested too deeply for JSON") from error


def _storable(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _NUMBERS[str(value)]
    if isinstance(value, Mapping):
        return {text(str(key)): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_storable(inner) for inner in value]
    return text(str(value))


_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
