"""The comparison of two specs, and the conditions of `--fail-on`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import define, field, frozen

from victor_dsl.errors import UsageError
from victor_dsl.nearest import suggest
from victor_dsl.workbench.plan.answers import Reruns
from victor_dsl.workbench.plan.changes import Change
from victor_dsl.workbench.plan.figures import Traffic
from victor_dsl.workbench.plan.verdicts import Verdicts

MEASURES = ("cost", "tokens", "cache", "errors", "arms-moved")

_CONDITION = re.compile(r"\s*(?P<name>[a-z-]+)\s*(?:(?P<sign>>)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<percent>%)?)?\s*")

Json = dict[str, Any]


@define
class Comparison:
    """What changes between two specs: `changes`, whom they affect, and with traffic what they do to requests."""

    old: str
    new: str
    changes: Sequence[Change] = ()
    affected: Json = field(factory=lambda: {"base": False, "tenants": [], "arms": [], "restarts": []})
    traffic: Traffic | None = None
    diagnostics: Json = field(factory=lambda: {"old": [], "new": []})
    unknown: Sequence[str] = ()
    failed: Sequence[str] = ()
    reruns: Reruns | None = None
    verdicts: Verdicts | None = None
    rendered: tuple[Json, Json] | None = None
    """The one request of `--message`, as each side renders it."""

    @property
    def faulty(self) -> list[str]:
        """The sides that do not compile: `old`, `new`."""
        return [side for side, found in self.diagnostics.items() if any(one["severity"] == "error" for one in found)]

    def as_json(self) -> Json:
        """The document of `--format json`."""
        return {
            "old": self.old,
            "new": self.new,
            "changes": [change.as_json() for change in self.changes],
            "affected": self.affected,
            "traffic": None if self.traffic is None else self.traffic.as_json(),
            "diagnostics": self.diagnostics,
            "unknown": list(self.unknown),
            "failed": list(self.failed),
            **({} if self.reruns is None else {"rerun": self._rerun(self.reruns)}),
            **({} if self.rendered is None else {"rendered": {"old": self.rendered[0], "new": self.rendered[1]}}),
        }

    def _rerun(self, reruns: Reruns) -> Json:
        judged = {} if self.verdicts is None else {"judged": self.verdicts.as_json()}
        return {**reruns.as_json(), **judged}


@frozen
class Condition:
    """One condition of `--fail-on`: a measure that got worse, by more than a number of percent or of its unit."""

    text: str
    name: str
    number: float = 0.0
    percent: bool = False

    @classmethod
    def read(cls, text: str) -> Condition:
        """`cost>5%`, `tokens>1000`, `errors`. Raises UsageError that lists the measures."""
        found = _CONDITION.fullmatch(text)
        name = found["name"] if found is not None else re.split(r"[^a-z-]", text.strip())[0]
        if found is None or name not in MEASURES:
            if name not in MEASURES:
                raise UsageError(f"--fail-on '{text}': {suggest(name, MEASURES, what='measures')}")
            raise UsageError(f"--fail-on '{text}': write `{name}`, `{name}>5%` or `{name}>5`")
        if found["percent"] and name in {"errors", "arms-moved"}:
            raise UsageError(f"--fail-on '{text}': {name} is a number of them: write `{name}` or `{name}>5`")
        return cls(text.strip(), name, float(found["number"] or 0), percent=found["percent"] is not None)

    def failure(self, traffic: Traffic) -> str | None:
        """Why it holds; None where it does not. A cost that is not known is worse than any."""
        old, new = traffic.old, traffic.new
        if self.name == "errors":
            return self._count(traffic.gained_errors.count, "errors gained")
        if self.name == "arms-moved":
            return self._count(sum(map(len, traffic.moved.values())), "units change arm")
        if self.name == "cache":
            if old.cache_share is None or new.cache_share is None:
                return None
            return self._worse(-old.cache_share * 100, -new.cache_share * 100, "of the cache share, in points")
        if self.name == "tokens":
            return self._worse(old.total, new.total, "tokens")
        if old.cost is None and new.cost is None:
            return f"{self.text}: the price of a model is not known (set `input_usd_per_million` and `output_usd_per_million`)"
        if old.cost is None or new.cost is None:
            return f"{self.text}: the cost is known on one side only"
        return self._worse(old.cost, new.cost, "US dollars")

    def _count(self, count: int, what: str) -> str | None:
        return f"{self.text}: {count:,} {what}" if count > self.number else None

    def _worse(self, old: float, new: float, what: str) -> str | None:
        by = new - old
        if self.name == "cache":
            return f"{self.text}: {by:.1f} {what}" if by > max(self.number, _ROUNDING) else None
        if self.percent:
            by = 100 * by / old if old else (float("inf") if by > 0 else 0.0)
            return f"{self.text}: {by:+.1f} %" if by > max(self.number, _ROUNDING) else None
        return f"{self.text}: {by:+,.6g} {what}" if by > max(self.number, _ROUNDING) else None


_ROUNDING = 1e-9


def failures(conditions: Iterable[Condition], traffic: Traffic | None) -> list[str]:
    """The conditions that hold, each with its figure."""
    if traffic is None:
        return []
    return [failure for one in conditions if (failure := one.failure(traffic)) is not None]
