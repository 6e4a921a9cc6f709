-- Takes a request, tokens and a place, each within its limit (0 is no limit): all of them or nothing.
-- Returns {'', ''}, or the limit that would be broken and the seconds until it would not.
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
