"""Buckets in Redis, for all processes together: each step is one script, which Redis runs alone, on its own clock."""

from __future__ import annotations

import asyncio
import hashlib

from attrs import frozen

from victor_dsl.components.middleware._buckets import GRANTED, MINUTE, Demand, Verdict
from victor_dsl.errors import StoreError
from victor_dsl.language.kinds import RedisDatabase
from victor_dsl.storage.ending import to_the_end

ANSWER_SECONDS = 2.0
"""How long Redis may take: a turn waits for it twice."""
LEASE_SECONDS = 900
"""How long a turn keeps its place: one whose process was killed gives it back by this."""

_SHARED = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local buckets, leases = KEYS[1], KEYS[2]
local minute, lease, lease_s = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])

local function drained(name, limit)
  local state = redis.call('HMGET', buckets, name .. '.used', name .. '.at')
  local used, at = tonumber(state[1] or '0'), tonumber(state[2] or '0')
  return math.max(0, used - math.max(0, now - at) * limit / minute)
end

local function keep(name, used, limit)
  redis.call('HSET', buckets, name .. '.used', string.format('%.17g', used), name .. '.at', string.format('%.6f', now))
  local left_ms = redis.call('PTTL', buckets)
  redis.call('PEXPIRE', buckets, math.max(left_ms, math.ceil(used * minute / limit * 1000) + 1000))
end
"""

TAKE = (
    _SHARED
    + """
local requests_limit, tokens_limit, places = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local asks = {{'requests_per_minute', requests_limit, 1}, {'tokens_per_minute', tokens_limit, tonumber(ARGV[7])}}

if places > 0 then
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', now)
  if redis.call('ZCARD', leases) >= places then return {'concurrency', ''} end
end
local used = {}
for i, ask in ipairs(asks) do
  local name, limit, amount = ask[1], ask[2], ask[3]
  if limit > 0 then
    used[i] = drained(name, limit) + amount
    local over = used[i] - limit
    if over > limit * 1e-9 then return {name, string.format('%.6f', over * minute / limit)} end
  end
end
for i, ask in ipairs(asks) do
  if used[i] then keep(ask[1], used[i], ask[2]) end
end
if places > 0 then
  redis.call('ZADD', leases, now + lease_s, lease)
  redis.call('EXPIRE', leases, lease_s)
end
return {'', ''}
"""
)

SETTLE = (
    _SHARED
    + """
local tokens_limit, more = tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('ZREM', leases, lease)
if tokens_limit > 0 and more ~= 0 then
  keep('tokens_per_minute', math.max(0, drained('tokens_per_minute', tokens_limit) + more), tokens_limit)
end
return {'', ''}
"""
)


@frozen
class RedisBuckets:
    """Buckets under `prefix`. What has run dry expires."""

    database: RedisDatabase
    prefix: str

    async def take(self, subject: str, demand: Demand) -> Verdict:
        limits = (demand.requests_per_minute, demand.tokens_per_minute, demand.concurrency)
        arguments = [*(str(limit or 0) for limit in limits), repr(demand.tokens)]
        verdict: Verdict | None = None

        async def take() -> Verdict:
            nonlocal verdict
            broken, wait_s = await self._run(TAKE, subject, demand.lease, arguments)
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
        await to_the_end(self._run(SETTLE, subject, demand.lease, arguments))

    async def _run(self, script: str, subject: str, lease: str, arguments: list[str]) -> tuple[str, str]:
        # Braces keep a subject's keys on one node of a cluster; a hash keeps callers from choosing keys.
        name = f"{self.prefix}:{{{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}}}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                first, second = await self.database.run_script(
                    script, [f"{name}:buckets", f"{name}:leases"], [str(MINUTE), lease, str(LEASE_SECONDS), *arguments]
                )
        except TimeoutError as error:
            raise StoreError(f"Redis gave no answer within {ANSWER_SECONDS:g} s") from error
        return _text(first), _text(second)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
