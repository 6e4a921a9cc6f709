-- What `take` and `settle` begin with: the server's clock, the keys, and leaky buckets as buckets.py describes them.
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
