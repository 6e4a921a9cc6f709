"""Usage counters for each subject: leaky buckets, also known as GCRA (ITU-T I.371, Annex A).

A bucket fills by what a turn uses and drains at the limit's rate. A turn that would fill it beyond one minute's worth is
refused. Buckets store the amount used, not times, so that a changed limit applies to the same usage.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Protocol

from attrs import define, field, frozen

from victor_dsl.language.component import Clock

MINUTE = 60.0
SWEEP_AFTER = 10_000
"""Over this number of subjects, those with empty buckets are removed; then again when their number has doubled."""


@frozen
class Demand:
    """What a turn asks for: one request, some tokens and a place among concurrent turns, each where a limit is set.

    `lease` identifies the turn's place.
    """

    lease: str
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int | None = None
    tokens: float = 0.0


@frozen
class Verdict:
    """Granted where `broken` is None. Else the limit that would be broken, and how long until it is not, if known."""

    broken: str | None = None
    retry_after_s: float | None = None


GRANTED = Verdict()


class Buckets(Protocol):
    """The buckets of all subjects."""

    async def take(self, subject: str, demand: Demand) -> Verdict:
        """Takes all that is asked for, or nothing; also nothing when it is cancelled. Raises StoreError."""
        ...

    async def settle(self, subject: str, demand: Demand, tokens: float) -> None:
        """Ends a granted demand that used `tokens`, also when it is cancelled. Raises StoreError."""
        ...


@define
class Bucket:
    """The amount used of one limit, as of the time `at`."""

    used: float = 0.0
    at: float = 0.0

    def drain(self, limit: float, now: float) -> None:
        """Removes what has become available again since `at`."""
        self.used = max(0.0, self.used - max(0.0, now - self.at) * limit / MINUTE)
        self.at = now

    def wait_s(self, amount: float, limit: float) -> float:
        """How long until `amount` fits; 0 where it fits now."""
        over = self.used + amount - limit
        return over * MINUTE / limit if over > limit * 1e-9 else 0.0


@define
class SubjectUsage:
    """One subject's buckets and leases. `empty_at` is when both buckets are empty, at the limits last used."""

    requests: Bucket = field(factory=Bucket)
    tokens: Bucket = field(factory=Bucket)
    leases: set[str] = field(factory=set)
    empty_at: float = 0.0


class MemoryBuckets:
    """The buckets of this process, stored in `subjects`."""

    def __init__(self, subjects: MutableMapping[str, SubjectUsage], clock: Clock) -> None:
        self._subjects = subjects
        self._clock = clock
        self._sweep_over = SWEEP_AFTER

    async def take(self, subject: str, demand: Demand) -> Verdict:
        now = self._clock.monotonic()
        usage = self._subjects.get(subject)
        if usage is None:
            self._sweep(now)
            usage = self._subjects[subject] = SubjectUsage()
        if demand.concurrency is not None and len(usage.leases) >= demand.concurrency:
            return Verdict("concurrency")
        wanted = [
            (name, bucket, limit, amount)
            for name, bucket, limit, amount in (
                ("requests_per_minute", usage.requests, demand.requests_per_minute, 1.0),
                ("tokens_per_minute", usage.tokens, demand.tokens_per_minute, demand.tokens),
            )
            if limit is not None
        ]
        # All limits are checked before any bucket is filled: a turn that is refused uses nothing.
        for name, bucket, limit, amount in wanted:
            bucket.drain(limit, now)
            if wait_s := bucket.wait_s(amount, limit):
                return Verdict(name, wait_s)
        for _, bucket, limit, amount in wanted:
            bucket.used += amount
            usage.empty_at = max(usage.empty_at, now + bucket.used * MINUTE / limit)
        if demand.concurrency is not None:
            usage.leases.add(demand.lease)
        return GRANTED

    async def settle(self, subject: str, demand: Demand, tokens: float) -> None:
        now = self._clock.monotonic()
        usage = self._subjects.setdefault(subject, SubjectUsage(empty_at=now))
        usage.leases.discard(demand.lease)
        if (limit := demand.tokens_per_minute) is not None:
            usage.tokens.drain(limit, now)
            usage.tokens.used = max(0.0, usage.tokens.used + tokens - demand.tokens)
            usage.empty_at = max(usage.empty_at, now + usage.tokens.used * MINUTE / limit)

    def _sweep(self, now: float) -> None:
        if len(self._subjects) < self._sweep_over:
            return
        for name in [name for name, usage in self._subjects.items() if usage.empty_at <= now and not usage.leases]:
            del self._subjects[name]
        self._sweep_over = max(SWEEP_AFTER, 2 * len(self._subjects))
