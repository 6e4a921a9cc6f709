"""The analytics coordinator: turns what a turn records into events, and hands them on without ever waiting.

Event data name models, tools and codes; they hold no contents and no secrets.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from victor_dsl.errors import ModelError, VictorError
from victor_dsl.language.component import Clock
from victor_dsl.values.event import Event, EventType, uuid7
from victor_dsl.values.turn import Trace

EXPOSED = 100_000
"""How many (experiment, unit) are remembered so that each is recorded once by this process."""

NAMES_TOLD = 100
"""How many names of offered tools a `turn` event has at most, best first."""

TOLD = 1_000
"""How many distinct reports are remembered so that each is made once."""


class AnalyticsCoordinator:
    """Makes the events of turns, and of what happens beside them. `deliver` takes each event and does not wait."""

    def __init__(self, pipeline: str, clock: Clock, deliver: Callable[[Event], None]) -> None:
        self.pipeline = pipeline
        self._clock = clock
        self._deliver = deliver
        self._exposed: dict[tuple[str, str], None] = {}
        self._told: dict[tuple[str, str], None] = {}

    def recorder(self, turn_id: str, trace: Trace) -> Callable[[EventType, Mapping[str, Any]], None]:
        """What a turn records its events with. A turn that is repeated with one id gives events with the same ids."""
        counts: dict[EventType, int] = {}
        moment = _moment(turn_id)
        clock, deliver, pipeline = self._clock, self._deliver, self.pipeline

        def record(type: EventType, data: Mapping[str, Any]) -> None:
            counts[type] = sequence = counts.get(type, -1) + 1
            deliver(
                Event(
                    _id(moment, turn_id, type, sequence),
                    type,
                    clock.now(),
                    trace.session,
                    trace.tenant,
                    pipeline,
                    trace.plan,
                    trace.arms,
                    data,
                )
            )

        return record

    def first_exposure(self, experiment: str, unit: str) -> bool:
        """Whether this process has not yet seen the unit in the experiment; it has then."""
        key = (experiment, unit)
        if key in self._exposed:
            return False
        if len(self._exposed) >= EXPOSED:
            del self._exposed[next(iter(self._exposed))]
        self._exposed[key] = None
        return True

    def report(self, node: str, message: str, data: Mapping[str, Any]) -> bool:
        """Records something that happened beside the turns as an `error` event, once. Says whether it was new."""
        key = (node, message)
        if key in self._told:
            return False
        if len(self._told) >= TOLD:
            del self._told[next(iter(self._told))]
        self._told[key] = None
        self.beside("error", {"code": "component", "node": node, "message": message, **data})
        return True

    def beside(self, type: EventType, data: Mapping[str, Any]) -> None:
        """Records something that belongs to no turn."""
        now = self._clock.now()
        self._deliver(Event(uuid7(now), type, now, "", None, self.pipeline, str(data.get("plan", "")), {}, data))


def event_id(turn_id: str, type: EventType, sequence: int) -> str:
    """The UUIDv7 of a turn's n-th event of a type: the turn id's time, and noise that follows from all three."""
    return _id(_moment(turn_id), turn_id, type, sequence)


def turn_data(trace: Trace, latency_ms: float, stop_reason: str) -> dict[str, Any]:
    """The data of a `turn` event."""
    usage = trace.usage
    data = {
        "latency_ms": round(latency_ms, 3),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": usage.cost_shown,
        "model": trace.model,
        "stop_reason": stop_reason,
        "values": trace.values,
        "tools": _tools_data(trace),
    }
    if (mending := trace.mending) is not None:
        data["mending"] = {"closed": len(mending.closed), "left_out": len(mending.left_out)}
    return data


def _tools_data(trace: Trace) -> dict[str, Any] | None:
    """What tools were offered, and which of them were used; None for a turn without tools."""
    if (selection := trace.selection) is None:
        return None
    data = selection.as_json()
    return {**data, "offered": data["offered"][:NAMES_TOLD], "used": list(dict.fromkeys(trace.used))}


def error_data(error: VictorError) -> dict[str, Any]:
    """The data of an `error` event. Without the message: it may quote what a user or a model wrote."""
    data: dict[str, Any] = {"code": error.as_json()["code"], "node": error.node}
    if isinstance(error, ModelError):
        data["status"] = error.status
    return data


def _id(moment: str, turn_id: str, type: EventType, sequence: int) -> str:
    noise = hashlib.sha256(f"{turn_id}\0{type}\0{sequence}".encode("utf-8", "surrogatepass")).hexdigest()
    return f"{moment}-7{noise[:3]}-{'89ab'[int(noise[3], 16) & 3]}{noise[4:7]}-{noise[7:19]}"


def _moment(turn_id: str) -> str:
    """The first 48 bits of a UUIDv7, its time, as they are written; the beginning of time where the id is none."""
    return turn_id[:13] if _UUID7.fullmatch(turn_id) else "00000000-0000"


_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
