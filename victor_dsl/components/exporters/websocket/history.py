"""The dashboard's history: events aggregated by second and by minute, and the last turns and errors.

Its size is bounded: the number of buckets, of names in each bucket, and of rows.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from victor_dsl.values.event import Event

SECONDS = 600
"""The number of one-second buckets: ten minutes."""
LATENCY_BASE = 1.05
"""Latencies are counted in classes, each 5 % wider than the one before; percentiles are exact to 2.5 %."""
NAMES = 50
"""The number of tools, codes, experiments or arms in a bucket; further ones are counted as OTHER."""
OTHER = "(other)"
TAIL = 100
LONGEST = 200
"""Texts in rows are cut to this many characters."""

Json = dict[str, Any]


@define
class Tally:
    """Sums over turns: all of a bucket, or those of one arm."""

    turns: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    latency: dict[int, int] = field(factory=dict)

    def finish(self, data: Mapping[str, Any]) -> None:
        """Counts a finished turn and its latency."""
        self.turns += 1
        self.failed += data.get("stop_reason") == "error"
        place = _latency_class(_number(data.get("latency_ms")))
        self.latency[place] = self.latency.get(place, 0) + 1

    def spend(self, data: Mapping[str, Any]) -> None:
        """Counts tokens and their cost. Calls without a known price are counted as unpriced, not as free."""
        self.input_tokens += int(_number(data.get("input_tokens")))
        self.output_tokens += int(_number(data.get("output_tokens")))
        self.cached_tokens += int(_number(data.get("cached_tokens")))
        self.reasoning_tokens += int(_number(data.get("reasoning_tokens")))
        if data.get("cost_usd") is None:
            self.unpriced += 1
        else:
            self.cost_usd += _number(data["cost_usd"])

    def as_json(self) -> Json:
        """The tally as JSON; latency as pairs of class and count."""
        return {
            "turns": self.turns,
            "failed": self.failed,
            "input": self.input_tokens,
            "output": self.output_tokens,
            "cached": self.cached_tokens,
            "reasoning": self.reasoning_tokens,
            "cost": self.cost_usd,
            "unpriced": self.unpriced,
            "latency": sorted(self.latency.items()),
        }


@define
class ToolTally:
    """Calls of one tool. `price_usd` is the price of a call in the spec, times the calls."""

    calls: int = 0
    failed: int = 0
    price_usd: float = 0.0


@define
class Bucket:
    """One second or minute. `all` has the tokens of every model call, also those of interrupted turns; an arm has those
    of finished turns."""

    all: Tally = field(factory=Tally)
    errors: dict[str, int] = field(factory=dict)
    tools: dict[str, ToolTally] = field(factory=dict)
    arms: dict[tuple[str, str], Tally] = field(factory=dict)

    def add(self, event: Event) -> None:
        """Adds an event."""
        data = event.data
        match event.type:
            case "turn":
                self.all.finish(data)
                for experiment, arm in event.variants.items():
                    tally = _entry(self.arms, (cut(experiment), cut(arm)), (OTHER, OTHER), Tally)
                    tally.finish(data)
                    tally.spend(data)
            case "model_call":
                if "input_tokens" in data:  # not of a call that failed before it used any
                    self.all.spend(data)
            case "tool_call":
                tool = _entry(self.tools, cut(data.get("tool") or "(not offered)"), OTHER, ToolTally)
                tool.calls += 1
                tool.failed += not data.get("ok")
                tool.price_usd += _number(data.get("price_usd"))
            case "error":
                code = cut(data.get("code") or "error")
                code = code if code in self.errors or len(self.errors) < NAMES else OTHER
                self.errors[code] = self.errors.get(code, 0) + 1

    def as_json(self, time: int) -> Json:
        """The bucket as JSON; `time` is its first second."""
        arms: dict[str, dict[str, Json]] = {}
        for (experiment, arm), tally in self.arms.items():
            arms.setdefault(experiment, {})[arm] = tally.as_json()
        tools = {name: [tool.calls, tool.failed, tool.price_usd] for name, tool in self.tools.items()}
        return {"t": time, **self.all.as_json(), "errors": self.errors, "tools": tools, "arms": arms}


class Series:
    """The newest buckets of one width. Seconds without events have no bucket."""

    def __init__(self, width_s: int, most: int) -> None:
        self._width = width_s
        self._span = width_s * most
        self._buckets: dict[int, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def at(self, time: float, now: float) -> tuple[int, Bucket] | None:
        """The bucket of a time, with its first second; None if it is too old. A future time counts as now."""
        start = int(min(time, now)) // self._width * self._width
        if start <= now - self._span:
            return None
        if start not in self._buckets:
            self._drop(now - self._span)
            self._buckets[start] = Bucket()
        return start, self._buckets[start]

    def as_json(self, now: float) -> list[Json]:
        """All buckets, oldest first."""
        self._drop(now - self._span)
        return [self._buckets[start].as_json(start) for start in sorted(self._buckets)]

    def _drop(self, before: float) -> None:
        for start in [start for start in self._buckets if start <= before]:
            del self._buckets[start]


class History:
    """The history of one scope: everything, or one tenant's events."""

    def __init__(self, minutes: int) -> None:
        self._seconds = Series(1, SECONDS)
        self._minutes = Series(60, minutes)
        self._turns: deque[Json] = deque(maxlen=TAIL)
        self._errors: deque[Json] = deque(maxlen=TAIL)
        self._pipeline = ""

    def add(self, events: Iterable[Event], now: float) -> Json:
        """Adds events, and returns what changed: whole buckets, so that receiving one twice does no harm."""
        changed: tuple[dict[int, Bucket], dict[int, Bucket]] = ({}, {})
        turns: deque[Json] = deque(maxlen=TAIL)
        errors: deque[Json] = deque(maxlen=TAIL)
        for event in events:
            self._pipeline = cut(event.pipeline)
            for series, touched in zip((self._seconds, self._minutes), changed, strict=True):
                if found := series.at(event.timestamp, now):
                    touched[found[0]] = found[1]
                    found[1].add(event)
            if event.type == "turn":
                turns.append(_turn_row(event))
            elif event.type == "error":
                errors.append(_error_row(event))
        self._turns += turns
        self._errors += errors
        seconds, minutes = ([bucket.as_json(start) for start, bucket in touched.items()] for touched in changed)
        return {
            "pipeline": self._pipeline,
            "seconds": seconds,
            "minutes": minutes,
            "turns": list(turns),
            "errors": list(errors),
        }

    def as_json(self, now: float) -> Json:
        """The whole history."""
        return {
            "pipeline": self._pipeline,
            "latency_base": LATENCY_BASE,
            "seconds": self._seconds.as_json(now),
            "minutes": self._minutes.as_json(now),
            "turns": list(self._turns),
            "errors": list(self._errors),
        }


def cut(text: Any) -> str:
    """The text, cut to LONGEST characters."""
    whole = str(text)
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"


def _entry(entries: dict[Any, Any], key: Any, other: Any, make: Any) -> Any:
    """The entry of a key, or of `other` where there are too many keys."""
    if key not in entries:
        key = key if len(entries) < NAMES else other
        if key not in entries:
            entries[key] = make()
    return entries[key]


def _row(event: Event) -> Json:
    """The cells that rows of turns and of errors have in common."""
    return {
        "id": event.id,
        "time": event.timestamp,
        "session": cut(event.session or ""),
        "tenant": None if event.tenant is None else cut(event.tenant),
    }


def _turn_row(event: Event) -> Json:
    data = event.data
    return {
        **_row(event),
        "plan": cut(event.plan),
        "variants": {cut(experiment): cut(arm) for experiment, arm in list(event.variants.items())[:NAMES]},
        "model": cut(data.get("model") or ""),
        "latency_ms": _number(data.get("latency_ms")),
        "input": _number(data.get("input_tokens")),
        "output": _number(data.get("output_tokens")),
        "cost": None if data.get("cost_usd") is None else _number(data["cost_usd"]),
        "stop_reason": cut(data.get("stop_reason") or ""),
    }


def _error_row(event: Event) -> Json:
    data = event.data
    return {
        **_row(event),
        "code": cut(data.get("code") or "error"),
        "node": cut(data.get("node") or ""),
        "message": cut(data.get("message") or ""),
    }


def _latency_class(milliseconds: float) -> int:
    return round(math.log(max(milliseconds, 0.01), LATENCY_BASE))


def _number(value: Any) -> float:
    """The number, or 0 for another value: a faulty event of a third party must not stop the dashboard."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else 0.0
