"""Counters and histograms of a batch, with the temporality delta: each batch has what was added since the one before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from victor_dsl.components.exporters.otlp.conventions import (
    AGENT,
    AGENT_SECONDS,
    ERROR,
    MODALITY,
    SECONDS,
    TOKEN_TYPE,
    TOKENS,
    TOOL,
    Names,
    error_of,
    model_attributes,
)
from victor_dsl.components.exporters.otlp.spans import tool_name
from victor_dsl.components.exporters.otlp.values import attributes, nanoseconds, start
from victor_dsl.values.event import Event

DELTA = 1


@frozen
class _Instrument:
    name: str
    unit: str
    bounds: tuple[float, ...] | None
    """The bounds of a histogram's buckets; None for a counter."""


@define
class _Metrics:
    """Values by instrument and attributes."""

    points: dict[_Instrument, dict[tuple[tuple[str, object], ...], list[float]]] = field(factory=dict)

    def add(
        self, name: str, unit: str, value: float, about: Mapping[str, object], bounds: tuple[float, ...] | None = None
    ) -> None:
        key = tuple((name, value) for name, value in about.items() if value is not None)
        self.points.setdefault(_Instrument(name, unit, bounds), {}).setdefault(key, []).append(value)


def metrics(events: Sequence[Event], names: Names) -> list[dict[str, Any]]:
    """The metrics of a batch; empty without events that have any."""
    made = _Metrics()
    counted = [event for event in events if event.type in ("turn", "model_call", "tool_call")]
    for event in counted:
        if event.type == "model_call":
            _model_call(event, names, made)
        elif event.type == "tool_call":
            about = {
                TOOL: tool_name(event),
                AGENT: event.pipeline,
                "gen_ai.tool.type": "function",
                ERROR: error_of(event),
            }
            made.add("gen_ai.execute_tool.duration", "s", event.data["latency_ms"] / 1_000, about, SECONDS)
        else:
            _turn(event, made)
    if not counted:
        return []
    times = {
        "startTimeUnixNano": nanoseconds(min(map(start, counted))),
        "timeUnixNano": nanoseconds(max(event.timestamp for event in counted)),
    }
    return [
        _histogram(instrument, points, times) if instrument.bounds is not None else _counter(instrument, points, times)
        for instrument, points in made.points.items()
    ]


def _turn(event: Event, made: _Metrics) -> None:
    data = event.data
    made.add("victor.turns", "{turn}", 1, {AGENT: event.pipeline, "victor.outcome": data["outcome"]})
    if data["latency_ms"] is not None:
        about = {AGENT: event.pipeline, ERROR: error_of(event)}
        made.add("gen_ai.invoke_agent.duration", "s", data["latency_ms"] / 1_000, about, AGENT_SECONDS)


def _model_call(event: Event, names: Names, made: _Metrics) -> None:
    data, about = event.data, model_attributes(event)
    failed = {**about, ERROR: error_of(event)}
    made.add(names.duration, "s", data["latency_ms"] / 1_000, failed, SECONDS)
    if data.get("ttft_ms") is not None:
        made.add(names.first_chunk, "s", data["ttft_ms"] / 1_000, about, SECONDS)
    for name, counter in names.counters.items():
        if (count := data.get(name)) is not None:
            made.add(counter, "{token}", count, {**about, MODALITY: "unknown"})
    for name, (histogram, type) in names.histograms.items():
        if (count := data.get(name)) is not None:
            made.add(histogram, "{token}", count, {**about, TOKEN_TYPE: type}, TOKENS)
    if data.get("cost_usd") is not None:
        made.add("victor.cost", "{USD}", float(data["cost_usd"]), {**about, AGENT: event.pipeline})


_Points = Mapping[tuple[tuple[str, object], ...], Sequence[float]]


def _counter(instrument: _Instrument, points: _Points, times: Mapping[str, str]) -> dict[str, Any]:
    data = []
    for about, values in points.items():
        total = sum(values)
        value = {"asInt": str(total)} if isinstance(total, int) else {"asDouble": total}
        data.append({"attributes": attributes(dict(about)), **times, **value})
    counter = {"dataPoints": data, "aggregationTemporality": DELTA, "isMonotonic": True}
    return {"name": instrument.name, "unit": instrument.unit, "sum": counter}


def _histogram(instrument: _Instrument, points: _Points, times: Mapping[str, str]) -> dict[str, Any]:
    bounds = instrument.bounds or ()
    data = []
    for about, values in points.items():
        buckets = [0] * (len(bounds) + 1)
        for value in values:
            buckets[bisect_left(bounds, value)] += 1  # a bucket includes its upper bound
        data.append(
            {
                "attributes": attributes(dict(about)),
                **times,
                "count": str(len(values)),
                "sum": float(sum(values)),
                "min": float(min(values)),
                "max": float(max(values)),
                "bucketCounts": [str(count) for count in buckets],
                "explicitBounds": [float(bound) for bound in bounds],
            }
        )
    return {
        "name": instrument.name,
        "unit": instrument.unit,
        "histogram": {"dataPoints": data, "aggregationTemporality": DELTA},
    }
