"""Buckets in Redis, shared by all processes. Each step is one script, which Redis runs atomically on its own clock."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from victor_dsl.components.usage_buckets import GRANTED, MINUTE, Demand, Verdict
from victor_dsl.errors import StoreError
from victor_dsl.language.kinds import RedisDatabase
from victor_dsl.lazy import Lazy
from victor_dsl.storage.ending import to_the_end

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

ANSWER_SECONDS = 2.0
"""Time limit for one script; a turn runs two."""
LEASE_SECONDS = 900
"""How long a turn has its place: the place of a killed process is free again after this."""


@frozen
class RedisBuckets:
    """Buckets under `prefix`. Empty ones expire."""

    database: RedisDatabase
    prefix: str

    async def take(self, subject: str, demand: Demand) -> Verdict:
        limits = (demand.requests_per_minute, demand.tokens_per_minute, demand.concurrency)
        arguments = [*(str(limit or 0) for limit in limits), repr(demand.tokens)]
        verdict: Verdict | None = None

        async def take() -> Verdict:
            nonlocal verdict
            broken, wait_s = await self._run(_script("take"), subject, demand.lease, arguments)
            verdict = Verdict(broken, float(wait_s) if wait_s else None) if broken else GRANTED
            return verdict

        try:
            return await to_the_end(take())
        except asyncio.CancelledError:
            if verdict is GRANTED:
                await self.settle(subject, demand, 0.0)
            raise

    async def settle(self, subject: str, demand: Demand, tokens: float) -> None:
        arguments = [str(demand.tokens_per_minute or 0), repr(tokens - demand.tokens)]
        await to_the_end(self._run(_script("settle"), subject, demand.lease, arguments))

    async def _run(self, script: str, subject: str, lease: str, arguments: list[str]) -> tuple[str, str]:
        # Braces put a subject's keys on one node of a cluster; the hash prevents callers from choosing keys.
        name = f"{self.prefix}:{{{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}}}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                first, second = await self.database.run_script(
                    script, [f"{name}:buckets", f"{name}:leases"], [str(MINUTE), lease, str(LEASE_SECONDS), *arguments]
                )
        except TimeoutError as error:
            raise StoreError(f"Redis did not answer within {ANSWER_SECONDS:g} s") from error
        return _text(first), _text(second)


@cache
def _script(step: str) -> str:
    folder = Path(__file__).parent
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("shared.lua", f"{step}.lua"))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
