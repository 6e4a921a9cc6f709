"""Values in OTLP's JSON: attributes, times and ids (opentelemetry-proto, the JSON Protobuf encoding)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from victor_dsl.values.event import Event
from victor_dsl.values.message import without_lone_surrogates

OF_TURNS = ("turn", "model_call", "tool_call")
"""The types of events that happen in turns only."""
MOST_CHARACTERS = 4_096
"""The most characters of a text. Back ends cut or refuse longer ones."""


def attributes(values: Mapping[str, object]) -> list[dict[str, Any]]:
    """A list of `KeyValue`. Those that are None are left out."""
    return [{"key": text(key), "value": _any_value(value)} for key, value in values.items() if value is not None]


def text(value: str) -> str:
    """The text as receivers take it: no halves of surrogate pairs, and not too long."""
    return without_lone_surrogates(value[:MOST_CHARACTERS])


def double(value: float) -> float | str:
    """The number, or its name in Protobuf's JSON where JSON has none."""
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def nanoseconds(seconds: float) -> str:
    """A Unix time as text, as JSON has no numbers of 64 bits. Exact to the microsecond."""
    return str(max(round(seconds * 1_000_000), 0) * 1_000)


def start(event: Event) -> float:
    """When what an event tells of began, in Unix seconds: its timestamp is the end."""
    return event.timestamp - (event.data.get("latency_ms") or 0) / 1_000


def trace_id(event: Event) -> str | None:
    """The trace of an event's turn, which is the id of its `turn` event without dashes; None for an event outside of turns.

    The ids of a turn's events have the time and the random bits of the turn's id, and differ in the 12 bits between them.
    """
    if event.type not in OF_TURNS and (event.session is None or event.type in ("exposure", "feedback")):
        return None
    digits = event.id.replace("-", "")
    return f"{digits[:12]}7000{digits[16:]}"


def span_id(id: str) -> str:
    """The id of the span of an event, the same whenever it is sent."""
    return hashlib.sha256(id.encode()).hexdigest()[:16]


def turn_span_id(trace: str) -> str:
    """The id of the span of the turn with that trace."""
    return span_id(f"{trace[:8]}-{trace[8:12]}-{trace[12:16]}-{trace[16:20]}-{trace[20:]}")


def _any_value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if -(2**63) <= value < 2**63 else {"doubleValue": double(float(value))}
    if isinstance(value, float):
        return {"doubleValue": double(value)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"arrayValue": {"values": [_any_value(one) for one in value]}}
    return {"stringValue": text(str(value))}
