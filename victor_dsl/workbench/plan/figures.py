"""Compares the two renderings of each request, and adds up what differs, in bounded memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field

from victor_dsl.workbench.plan.renderings import Record, Records
from victor_dsl.workbench.plan.system_diffs import SystemDiffs

MONTH_SECONDS = 365.25 / 12 * 86_400
LEAST_SPAN_SECONDS = 3_600
"""The shortest time span of traffic from which costs of a month are estimated."""

MOST_TENANTS = 1_000
"""Whose tokens are added up apart."""

MOST_LINES = 100_000
"""Numbers of changed lines that are kept for a rerun."""

MOST_UNITS = 1_000_000
"""Of an experiment, whose arms are compared."""

Json = dict[str, Any]
UNITS = ("session", "user", "tenant")


@define
class Totals:
    """The sums of one side. The cost is None where the price of any request's model is not known."""

    tokens: array[int] = field(factory=lambda: array("q"))
    cost: float | None = 0.0
    cached: float | None = 0.0
    stable: int = 0
    total: int = 0
    errors: int = 0
    dropped: int = 0
    over_window: int = 0
    messages_kept: int = 0
    messages: int = 0
    models: Counter[str] = field(factory=Counter)

    def add(self, record: Record) -> None:
        """Adds a request."""
        if record.error is not None:
            self.errors += 1
            return
        total = record.total
        self.tokens.append(total)
        self.total += total
        self.stable += record.stable
        self.cost = None if self.cost is None or record.cost is None else self.cost + record.cost
        self.cached = None if self.cached is None or record.cached is None else self.cached + record.cached
        self.dropped += bool(record.dropped)
        self.over_window += record.tokens[3] is not None and total > record.tokens[3]
        self.messages_kept += record.kept
        self.messages += record.input_messages
        if record.model is not None:
            self.models[record.model] += 1

    def percentiles(self) -> Json:
        """The tokens: their sum, the median, and what 95 % of requests do not exceed."""
        ordered = sorted(self.tokens)
        return {"total": self.total, "p50": _percentile(ordered, 50), "p95": _percentile(ordered, 95)}

    @property
    def cache_share(self) -> float | None:
        """The share of all tokens that a session's next request can read again."""
        return self.stable / self.total if self.total else None


def _percentile(ordered: list[int], percent: int) -> int:
    """By the nearest rank; 0 of nothing."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else 0


@define
class Failures:
    """Errors that one side has and the other has not: by code, how many, and the first as an example."""

    by_code: dict[str, Json] = field(factory=dict)

    def add(self, record: Record) -> None:
        """Counts the error of a request."""
        assert record.error is not None
        code, message = record.error
        found = self.by_code.setdefault(
            code, {"requests": 0, "example": record.id, "line": record.number, "message": message}
        )
        found["requests"] += 1

    @property
    def count(self) -> int:
        """All of them."""
        return sum(found["requests"] for found in self.by_code.values())


@define
class Traffic:
    """The comparison of request lines. `units` says what unit each experiment assigns that both sides have."""

    old_records: Records
    new_records: Records
    units: Mapping[str, str]
    old: Totals = field(factory=Totals)
    new: Totals = field(factory=Totals)
    requests: int = 0
    changed: int = 0
    messages_changed: int = 0
    gained_errors: Failures = field(factory=Failures)
    mended_errors: Failures = field(factory=Failures)
    errors: Failures = field(factory=Failures)
    gained_tools: Counter[str] = field(factory=Counter)
    lost_tools: Counter[str] = field(factory=Counter)
    changed_tools: Counter[str] = field(factory=Counter)
    system: SystemDiffs = field(factory=SystemDiffs)
    tenants: dict[str | None, list[int]] = field(factory=dict)
    moved: dict[str, set[int]] = field(factory=dict)
    models: Counter[tuple[str, str]] = field(factory=Counter)
    changed_lines: list[int] = field(factory=list)
    first: float | None = None
    last: float | None = None

    def compare(self) -> Iterator[int]:
        """Compares all requests; yields how many bytes of the traffic are done, now and then."""
        pairs = zip(self.old_records, self.new_records, strict=True)
        for number, (old, new) in enumerate(pairs):
            self._add(old, new)
            if number % 64 == 0:
                yield self.new_records.done

    def _add(self, old: Record, new: Record) -> None:
        self.requests += 1
        self.old.add(old)
        self.new.add(new)
        self._times(new.time)
        if new.error is not None:
            self.errors.add(new)
            if old.error is None:
                self.gained_errors.add(new)
        elif old.error is not None:
            self.mended_errors.add(old)
        if old.error is None and new.error is None:
            by_tenant = self.tenants.get(new.tenant)
            if by_tenant is None and len(self.tenants) < MOST_TENANTS:
                by_tenant = self.tenants[new.tenant] = [0, 0, 0, 0]
            if by_tenant is not None:
                by_tenant[0] += 1
                by_tenant[1] += old.sent != new.sent
                by_tenant[2] += old.total
                by_tenant[3] += new.total
        self._arms(old, new)
        if old.sent == new.sent:
            return
        self.changed += 1
        if len(self.changed_lines) < MOST_LINES and new.error is None and old.error is None:
            self.changed_lines.append(new.number)
        if old.error is not None or new.error is not None:
            return
        self._tools(self.old_records.tools[old.tools], self.new_records.tools[new.tools])
        self.messages_changed += old.messages != new.messages
        if old.model != new.model:
            self.models[old.model or "", new.model or ""] += 1
        before, after = self.old_records.system(old), self.new_records.system(new)
        if before != after:
            self.system.add(new.id, before, after, new.names)

    def _times(self, time: float | None) -> None:
        if time is not None:
            self.first = time if self.first is None else min(self.first, time)
            self.last = time if self.last is None else max(self.last, time)

    def _tools(self, old: Mapping[str, int], new: Mapping[str, int]) -> None:
        if old == new:
            return
        self.gained_tools.update(new.keys() - old.keys())
        self.lost_tools.update(old.keys() - new.keys())
        self.changed_tools.update(name for name in old.keys() & new.keys() if old[name] != new[name])

    def _arms(self, old: Record, new: Record) -> None:
        before, after = self.old_records.arms[old.arms] if old.arms >= 0 else {}, {}
        if new.arms >= 0:
            after = self.new_records.arms[new.arms]
        if before == after or old.error is not None or new.error is not None:
            return
        for experiment, arm in before.items():
            unit = self.units.get(experiment)
            if unit is not None and after.get(experiment) != arm:
                units = self.moved.setdefault(experiment, set())
                if len(units) < MOST_UNITS:
                    units.add(new.units[UNITS.index(unit)])

    @property
    def span_seconds(self) -> float | None:
        """From the first to the last timestamp of the traffic, where they lie far enough apart."""
        if self.first is None or self.last is None or self.last - self.first < LEAST_SPAN_SECONDS:
            return None
        return self.last - self.first

    def monthly(self) -> Json | None:
        """The costs of a month with traffic like this."""
        span = self.span_seconds
        if span is None or self.old.cost is None or self.new.cost is None:
            return None
        return {"old": self.old.cost * MONTH_SECONDS / span, "new": self.new.cost * MONTH_SECONDS / span}

    def as_json(self) -> Json:
        """All figures."""
        old, new = self.old, self.new
        return {
            "requests": self.requests,
            "changed": self.changed,
            "errors": {
                "old": old.errors,
                "new": new.errors,
                "gained": self.gained_errors.by_code,
                "mended": self.mended_errors.by_code,
                "all": self.errors.by_code,
            },
            "tokens": {
                "old": old.percentiles(),
                "new": new.percentiles(),
                "by_tenant": {
                    name or "": {"requests": n, "changed": changed, "old": before, "new": after}
                    for name, (n, changed, before, after) in sorted(self.tenants.items(), key=lambda one: one[0] or "")
                },
            },
            "cost_usd": {"old": old.cost, "new": new.cost, "monthly": self.monthly()},
            "cache": {
                "old": old.cache_share,
                "new": new.cache_share,
                "cost_usd": {"old": old.cached, "new": new.cached},
            },
            "tools": {
                "gained": dict(self.gained_tools.most_common()),
                "lost": dict(self.lost_tools.most_common()),
                "changed": dict(self.changed_tools.most_common()),
            },
            "messages": {
                "changed": self.messages_changed,
                "old": {"kept": old.messages_kept, "dropped": old.messages - old.messages_kept},
                "new": {"kept": new.messages_kept, "dropped": new.messages - new.messages_kept},
            },
            "budgets": {
                "old": {"dropped_pieces": old.dropped, "over_window": old.over_window},
                "new": {"dropped_pieces": new.dropped, "over_window": new.over_window},
            },
            "models": {"old": dict(old.models.most_common()), "new": dict(new.models.most_common())},
            "arms_moved": {name: len(units) for name, units in self.moved.items()},
            "system_diffs": [diff.as_json() for diff in self.system.found()],
            "further_system_diffs": self.system.others,
        }
