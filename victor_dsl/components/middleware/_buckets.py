"""Who has used how much: leaky buckets, which are GCRA by another name (ITU-T I.371, Annex A), kept as what was used.

A bucket fills by what is taken and runs dry at the limit's rate; what does not fit into a minute's worth is refused.
Kept are amounts, not times, so that another limit finds the same amount used.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Protocol

from attrs import define, field, frozen

from victor_dsl.language.component import Clock

MINUTE = 60.0
SWEEP_AFTER = 10_000
"""Over so many subjects, those whose buckets have run dry are forgotten; half of them again later."""


@frozen
class Demand:
    """What a turn asks for: one request, some tokens and a place, each within its limit, where one is set.

    `lease` names the turn's place among those at one time.
    """

    lease: str
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int | None = None
    tokens: float = 0.0


@frozen
class Verdict:
    """Whether it was granted; else which limit it would break, and how long until it does not, where that is known."""

    broken: str | None = None
    retry_after_s: float | None = None


GRANTED = Verdict()


class Buckets(Protocol):
    """The buckets of all subjects."""

    async def take(self, subject: str, demand: Demand) -> Verdict:
        """Takes all that is asked for, or nothing; nothing too where it is cancelled. Raises StoreError."""
        ...

    async def settle(self, subject: str, demand: Demand, tokens: float) -> None:
        """Ends what was granted, also when it is cancelled: `tokens` were used instead of those asked for. Raises StoreError."""
        ...


@define
class Bucket:
    """What was used of one limit, and when that was so."""

    used: float = 0.0
    at: float = 0.0

    def drain(self, limit: float, now: float) -> None:
        """Lets run out what has come back since."""
        self.used = max(0.0, self.used - max(0.0, now - self.at) * limit / MINUTE)
        self.at = now

    def wait_s(self, amount: float, limit: float) -> float:
        """How long until so much more fits; 0 where it does now."""
        over = self.used + amount - limit
        return over * MINUTE / limit if over > limit * 1e-9 else 0.0


@define
class Subject:
    """One subject's buckets and places. `dry` is when both have run dry at the limits last seen."""

    requests: Bucket = field(factory=Bucket)
    tokens: Bucket = field(factory=Bucket)
    leases: set[str] = field(factory=set)
    dry: float = 0.0


class MemoryBuckets:
    """Buckets of this process. `subjects` is where they are kept."""

    def __init__(self, subjects: MutableMapping[str, Subject], clock: Clock) -> None:
        self._subjects = subjects
        self._clock = clock
        self._sweep_over = SWEEP_AFTER

    async def take(self, subject: str, demand: Demand) -> Verdict:
        now = self._clock.monotonic()
        state = self._subjects.get(subject)
        if state is None:
            self._sweep(now)
            state = self._subjects[subject] = Subject()
        if demand.concurrency is not None and len(state.leases) >= demand.concurrency:
            return Verdict("concurrency")
        asks = [
            (name, bucket, limit, amount)
            for name, bucket, limit, amount in (
                ("requests_per_minute", state.requests, demand.requests_per_minute, 1.0),
                ("tokens_per_minute", state.tokens, demand.tokens_per_minute, demand.tokens),
            )
            if limit is not None
        ]
        for name, bucket, limit, amount in asks:
            bucket.drain(limit, now)
            if wait_s := bucket.wait_s(amount, limit):
                return Verdict(name, wait_s)
        for _, bucket, limit, amount in asks:
            bucket.used += amount
            state.dry = max(state.dry, now + bucket.used * MINUTE / limit)
        if demand.concurrency is not None:
            state.leases.add(demand.lease)
        return GRANTED

    async def settle(self, subject: str, demand: Demand, tokens: float) -> None:
        now = self._clock.monotonic()
        state = self._subjects.setdefault(subject, Subject(dry=now))
        state.leases.discard(demand.lease)
        if (limit := demand.tokens_per_minute) is not None:
            state.tokens.drain(limit, now)
            state.tokens.used = max(0.0, state.tokens.used + tokens - demand.tokens)
            state.dry = max(state.dry, now + state.tokens.used * MINUTE / limit)

    def _sweep(self, now: float) -> None:
        if len(self._subjects) < self._sweep_over:
            return
        for name in [name for name, state in self._subjects.items() if state.dry <= now and not state.leases]:
            del self._subjects[name]
        self._sweep_over = max(SWEEP_AFTER, 2 * len(self._subjects))
