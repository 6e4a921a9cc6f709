"""The analytics coordinator: makes events of what turns record, and passes them on without ever waiting.

Event data name models, tools and codes; they hold no contents and no secrets. What a turn was asked is beside them, where an
exporter wants it (`ExporterConfig.wants_contents`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from victor_dsl.errors import ModelError, VictorError
from victor_dsl.language.component import Clock
from victor_dsl.values.event import Event, EventType, Outcome, uuid7
from victor_dsl.values.frozen import FrozenMap
from victor_dsl.values.turn import Record, Trace

if TYPE_CHECKING:
    from victor_dsl.runtime.delivery.left_folders import InterruptedTurn

EXPOSED = 100_000
"""How many exposures are remembered, so that this process records each once."""

MOST_NAMES = 100
"""The most names of selected tools in a `turn` event, best first."""

REPORTED = 1_000
"""How many distinct reports are remembered, so that each is made once."""


class AnalyticsCoordinator:
    """Makes the events of turns, and of what happens beside them. `deliver` takes an event and does not wait."""

    def __init__(self, pipeline: str, clock: Clock, deliver: Callable[[Event], None]) -> None:
        self.pipeline = pipeline
        self._clock = clock
        self._deliver = deliver
        self._exposed: dict[tuple[str, str, str], None] = {}
        self._reported: dict[tuple[str, str], None] = {}

    def recorder(
        self,
        turn_id: str,
        trace: Trace,
        *,
        before: Mapping[str, int] = FrozenMap(),
        deliver: Callable[[Event], None] | None = None,
    ) -> Record:
        """The function that a turn records its events with. A turn repeated under the same id gives events with the same ids.

        `before` counts the events, by type, that an earlier try has recorded before its process died: these are kept.
        """
        counts: dict[EventType, int] = {type: before[type] - 1 for type in before}  # type: ignore[misc]
        id_of = event_ids(turn_id)
        now, pipeline = self._clock.now, self.pipeline
        deliver = deliver or self._deliver

        def record(type: EventType, data: Mapping[str, Any]) -> None:
            counts[type] = number = counts.get(type, -1) + 1
            id = id_of(type, number)
            contents = trace.contents if type == "turn" else None
            deliver(
                Event(
                    id,
                    type,
                    now(),
                    trace.session,
                    trace.tenant,
                    pipeline,
                    trace.plan,
                    trace.arms,
                    data,
                    trace.user,
                    contents,
                )
            )

        return record

    def interrupted(self, turn: InterruptedTurn) -> None:
        """Records the `turn` event of a turn whose process died: with what its model calls had used."""
        start, last = turn.start, turn.last
        data = {
            "latency_ms": None,
            **turn.usage.as_json(),
            "model": None if last is None else last.data.get("model"),
            "stop_reason": "error",
            "outcome": "interrupted",
            "error": "interrupted",
            "values": None,
            "tools": None,
        }
        plan, arms, user = ("", {}, None) if last is None else (last.plan, last.variants, last.user)
        self._deliver(
            Event(
                start.event_id,
                "turn",
                start.timestamp,
                start.session,
                start.tenant,
                start.pipeline,
                plan,
                arms,
                data,
                user,
            )
        )

    def expose(self, trace: Trace, experiment: str, unit: str, arm: str) -> None:
        """Records that a unit was exposed to an arm, once in this process.

        The event has the same id in every process and after a restart, so that stores count the exposure once.
        """
        key = (experiment, unit, arm)
        if key in self._exposed:
            return
        if len(self._exposed) >= EXPOSED:
            del self._exposed[next(iter(self._exposed))]
        self._exposed[key] = None
        id = event_ids("\0".join(("exposure", self.pipeline, *key)))("exposure", 0)
        data = {"experiment": experiment, "arm": arm}
        now = self._clock.now()
        self._deliver(
            Event(
                id,
                "exposure",
                now,
                trace.session,
                trace.tenant,
                self.pipeline,
                trace.plan,
                trace.arms,
                data,
                trace.user,
            )
        )

    def report(self, node: str, message: str, data: Mapping[str, Any]) -> bool:
        """Records something that happened beside the turns as an `error` event, once. Returns whether it was new."""
        key = (node, message)
        if key in self._reported:
            return False
        if len(self._reported) >= REPORTED:
            del self._reported[next(iter(self._reported))]
        self._reported[key] = None
        self.record_outside_turns("error", {"code": "component", "node": node, "message": message, **data})
        return True

    def record_outside_turns(self, type: EventType, data: Mapping[str, Any]) -> None:
        """Records something that belongs to no turn."""
        now = self._clock.now()
        self._deliver(Event(uuid7(now), type, now, None, None, self.pipeline, str(data.get("plan", "")), {}, data))


def event_ids(turn_id: str) -> Callable[[EventType, int], str]:
    """The ids of a turn's events, each by its type and its number among those of that type: UUIDv7s.

    They follow from the turn's id alone, so that a turn which is repeated counts once. Each has the time and the 62 random
    bits of the turn's id, and between them type and number, in the 12 bits for a counter (RFC 9562, §6.2, method 1).
    """
    if _UUID7.fullmatch(turn_id):
        time, random = turn_id[:13], turn_id[19:]
    else:  # a caller's own id: the earliest time there is, and bits that follow from it
        time, random = "00000000-0000", _random_bits(turn_id)

    def id_of(type: EventType, number: int) -> str:
        bits = random if number < _NUMBERS else _random_bits(f"{turn_id}\0{number // _NUMBERS}")
        return f"{time}-7{_TYPE_DIGITS[type]}{number % _NUMBERS:02x}-{bits}"

    return id_of


def turn_data(trace: Trace, latency_ms: float, stop_reason: str, outcome: Outcome, error: str | None) -> dict[str, Any]:
    """The data of a `turn` event; `error` is the code of the error that ended the turn."""
    data = {
        "latency_ms": round(latency_ms, 3),
        **trace.usage.as_json(),
        "model": trace.model,
        "stop_reason": stop_reason,
        "outcome": outcome,
        "error": error,
        "values": trace.values,
        "tools": _tools_data(trace),
    }
    if trace.selection is not None and trace.selection.reset:
        data["tools_reset"] = True
    if (mending := trace.mending) is not None:
        data["mending"] = {key: len(indices) for key, indices in mending.as_json().items()}
    return data


def _tools_data(trace: Trace) -> dict[str, Any] | None:
    """The tools selected, and those used; None for a turn without tools."""
    if (selection := trace.selection) is None:
        return None
    return {
        "type": selection.type,
        "candidates": selection.candidates,
        "offered": list(selection.offered[:MOST_NAMES]),
        "fallback": selection.fallback,
        "used": list(dict.fromkeys(trace.used)),
    }


def error_data(error: VictorError) -> dict[str, Any]:
    """The data of an `error` event, without the message, which may quote what a user or a model wrote."""
    data: dict[str, Any] = {"code": error.to_dict()["code"], "node": error.node}
    if isinstance(error, ModelError):
        data["status"] = error.status
    return data


def _random_bits(text: str) -> str:
    """A UUID's variant and its last 62 bits, taken from the text's hash."""
    digits = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{'89ab'[int(digits[0], 16) & 3]}{digits[1:4]}-{digits[4:16]}"


_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TYPE_DIGITS = {type: f"{place:x}" for place, type in enumerate(get_args(EventType))}  # new types come last
_NUMBERS = 256
